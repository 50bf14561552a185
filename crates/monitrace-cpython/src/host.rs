//! CPython as the engine's host: its types, and what is read from them for people.

use monitrace_core::{CodeInfo, Host, Monitor, MonitorError};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::fmt;

/// Where an event happens, as Python sees it.
#[repr(C)]
pub struct Site {
    /// The code object that the program knows, never a rewritten copy.
    pub code: Py<PyAny>,
    /// The second argument of callbacks, boxed once: the line for `LINE`, else the byte offset.
    pub position: Py<PyAny>,
}

/// A Python exception on its way through the engine.
#[derive(Debug)]
pub struct Raised(pub PyErr);

impl From<MonitorError> for Raised {
    fn from(error: MonitorError) -> Raised {
        Raised(PyValueError::new_err(error.to_string()))
    }
}

impl From<PyErr> for Raised {
    fn from(error: PyErr) -> Raised {
        Raised(error)
    }
}

impl From<Raised> for PyErr {
    fn from(raised: Raised) -> PyErr {
        raised.0
    }
}

/// The interpreter of this process.
#[derive(Debug, Default)]
pub struct CPython;
