//! 3.12 and later: the interpreter's own functions of `sys.monitoring`, whatever stands in their place.

#![forbid(unsafe_code)]

use pyo3::call::PyCallArgs;
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule, PyString};

/// The module's names, copied before any of them was replaced.
fn names(py: Python<'_>) -> PyResult<&Bound<'_, PyDict>> {
    static NAMES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let names =
        NAMES.get_or_try_init(py, || Ok::<_, PyErr>(super::monitoring(py)?.dict().copy()?.unbind()))?;
    Ok(names.bind(py))
}

/// One of the functions.
pub(super) fn function<'py>(py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
    let function = names(py)?.get_item(name)?;
    function.ok_or_else(|| PyAttributeError::new_err(format!("sys.monitoring has no {name}")))
}

/// Calls one of the functions.
///
/// # Errors
/// Whatever it raises.
pub(super) fn call<'py>(
    py: Python<'py>,
    name: &Bound<'py, PyString>,
    args: impl PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    function(py, name)?.call1(args)
}

/// Puts a function of ours in its place.
pub(super) fn replace(
    monitoring: &Bound<'_, PyModule>,
    name: &str,
    function: &Bound<'_, PyAny>,
) -> PyResult<()> {
    names(monitoring.py())?;
    monitoring.setattr(name, function)
}

/// Puts the interpreter's own function back, or takes ours away where it has none.
pub(super) fn restore(monitoring: &Bound<'_, PyModule>, name: &str) -> PyResult<()> {
    match names(monitoring.py())?.get_item(name)? {
        Some(function) => monitoring.setattr(name, function),
        None => monitoring.delattr(name),
    }
}
