//! `rules`: evaluates files of rules, written in a subset of Python, for a host that does not trust them.
//!
//! An example of a language that monitoring tools see: `monitor.rs` is what that takes, and `evaluate.rs` fires
//! the events.

#![forbid(unsafe_code)]

mod compile;
mod evaluate;
mod function;
mod limits;
mod monitor;
mod parse;
mod tree;

use crate::function::Program;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::PathBuf;
use std::sync::Arc;

pyo3::create_exception!(rules, LimitExceeded, PyRuntimeError, "A rule took more steps than it may.");

/// Reads a file of rules, runs it, and returns its names: those that were given, and those that it defined.
///
/// Calls of its functions, too, raise LimitExceeded after so many steps.
///
/// Raises SyntaxError for what is not part of the language, OSError or UnicodeDecodeError if the file cannot be
/// read, and what the file's own code raises.
#[pyfunction]
#[pyo3(signature = (path, names = None, *, steps = 1_000_000))]
fn load<'py>(
    py: Python<'py>,
    path: PathBuf,
    names: Option<Bound<'py, PyDict>>,
    steps: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let text = std::fs::read_to_string(&path)?;
    let file = parse::parse(py, &text, &path)?;
    let program = Arc::new(Program::new(py, file, &path, steps)?);
    let globals = names.map_or_else(|| Ok(PyDict::new(py)), |names| names.copy())?;
    evaluate::call(py, &program, 0, &globals, Vec::new())?;
    Ok(globals)
}

#[pymodule]
mod rules {
    #[pymodule_export]
    use super::{LimitExceeded, function::Function, load};
}
