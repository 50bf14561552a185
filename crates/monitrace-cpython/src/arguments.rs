//! Before 3.14: the arguments of functions of `sys.monitoring` that are ours, checked as CPython 3.14
//! checks its own, with its words.

use crate::host::Raised;
use monitrace_core::ToolId;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::ffi::c_int;

/// Positional arguments only, as many as CPython's own argument clinic asks for.
pub(crate) struct Arguments<'py>(pub(crate) Bound<'py, PyTuple>);

impl<'py> Arguments<'py> {
    pub(crate) fn check(
        name: &str,
        count: usize,
        args: Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Self> {
        if kwargs.is_some_and(|kwargs| !kwargs.is_empty()) {
            return Err(PyTypeError::new_err(format!("sys.monitoring.{name}() takes no keyword arguments")));
        }
        let given = args.len();
        if given == count {
            return Ok(Arguments(args));
        }
        Err(PyTypeError::new_err(match count {
            0 => format!("sys.monitoring.{name}() takes no arguments ({given} given)"),
            1 => format!("sys.monitoring.{name}() takes exactly one argument ({given} given)"),
            _ => format!("{name} expected {count} arguments, got {given}"),
        }))
    }

    pub(crate) fn object(&self, index: usize) -> PyResult<Bound<'py, PyAny>> {
        self.0.get_item(index)
    }

    /// An argument that is an `int` in C.
    pub(crate) fn number(&self, index: usize) -> PyResult<c_int> {
        let py = self.0.py();
        self.object(index)?.extract().map_err(|error: PyErr| {
            if error.is_instance_of::<PyOverflowError>(py) {
                return PyOverflowError::new_err("Python int too large to convert to C int");
            }
            error
        })
    }

    pub(crate) fn tool(&self, index: usize) -> PyResult<ToolId> {
        ToolId::new(self.number(index)?.into()).map_err(|error| Raised::from(error).0)
    }
}
