//! The package in this process, and a tool that keeps what it is told.

#![allow(dead_code, unreachable_pub)] // no test needs all of it

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyModule};
use std::ffi::CString;
use std::sync::{Mutex, PoisonError};

const TOOL: &str = include_str!("tool.py");

/// Makes `monitrace._native` importable, without what Python does not need of it here.
pub fn publish(py: Python<'_>) -> PyResult<()> {
    let native = PyModule::new(py, "monitrace._native")?;
    monitrace_capi::publish(&native)?;
    modules(py)?.set_item("monitrace", PyModule::new(py, "monitrace")?)?;
    modules(py)?.set_item("monitrace._native", native)
}

/// As `monitrace.install()`.
pub fn install(py: Python<'_>) -> PyResult<()> {
    monitrace_cpython::install(py).map(drop)
}

/// `sys.modules`.
pub fn modules(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    Ok(py.import("sys")?.getattr("modules")?.cast_into()?)
}

/// What `tool.py` holds, once for the process.
pub fn helper(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    if let Ok(known) = py.import("tool") {
        return Ok(known);
    }
    let code = CString::new(TOOL).expect("it is text");
    let module = PyModule::from_code(py, &code, c"tool.py", c"tool")?;
    modules(py)?.set_item("tool", &module)?;
    Ok(module)
}

pub fn code_like(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    helper(py)?.getattr("CodeLike")?.call0()
}

/// A tool, `Tool` in `tool.py`, that is freed in the end.
pub struct Tool<'py>(pub Bound<'py, PyAny>);

impl<'py> Tool<'py> {
    pub fn new(py: Python<'py>, number: u8) -> PyResult<Tool<'py>> {
        Ok(Tool(helper(py)?.getattr("Tool")?.call1((number,))?))
    }

    pub fn listen(&self, events: &[&str]) -> PyResult<()> {
        let events = pyo3::types::PyTuple::new(self.0.py(), events)?;
        self.0.call_method1("listen", events).map(drop)
    }

    /// What was told since it was last asked, as Python writes it.
    pub fn take(&self) -> PyResult<String> {
        Ok(self.0.call_method0("take")?.str()?.to_string())
    }

    pub fn told(&self) -> PyResult<Bound<'py, PyList>> {
        Ok(self.0.call_method0("take")?.cast_into()?)
    }
}

impl Drop for Tool<'_> {
    fn drop(&mut self) {
        let freed = self.0.call_method0("free");
        assert!(freed.is_ok() || std::thread::panicking(), "{freed:?}");
    }
}

/// Runs a test with the package installed and nobody else's tools there.
pub fn with_package(test: impl FnOnce(Python<'_>) -> PyResult<()>) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let done = Python::attach(|py| {
        publish(py)?;
        install(py)?;
        test(py)
    });
    if let Err(error) = done {
        Python::attach(|py| error.print(py));
        panic!("the test raised");
    }
}
