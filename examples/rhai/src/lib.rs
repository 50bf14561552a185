//! `rhai_scripts`: runs scripts in [Rhai](https://rhai.rs) for a Python program, and lets monitoring tools see them.
//!
//! An example of a language that has a debugger interface: `function.rs` and `run.rs` are what monitoring takes.

#![forbid(unsafe_code)]

mod error;
mod function;
mod run;
mod script;
mod value;

use pyo3::exceptions::PyRuntimeError;

pyo3::create_exception!(
    rhai_scripts,
    ScriptError,
    PyRuntimeError,
    "A script went wrong. Begins with its file:line."
);

#[pyo3::pymodule]
mod rhai_scripts {
    #[pymodule_export]
    use super::{ScriptError, script::Script};
}
