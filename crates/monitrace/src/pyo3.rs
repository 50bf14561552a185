//! PyO3's types as what a scope takes: here PyO3's promises become ours.

use crate::object::{Attached, Exception, Object};
use crate::raised::Raised;
use pyo3::exceptions::PyBaseException;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

impl<'py> From<Python<'py>> for Attached<'py> {
    #[inline]
    fn from(_: Python<'py>) -> Attached<'py> {
        // SAFETY: PyO3 promises the same of its token.
        unsafe { Attached::assume() }
    }
}

// SAFETY: it owns a reference.
unsafe impl<T> Object for Py<T> {
    fn as_ptr(&self, _attached: Attached<'_>) -> *mut PyObject {
        Py::as_ptr(self)
    }
}

// SAFETY: it owns a reference.
unsafe impl<T> Object for Bound<'_, T> {
    fn as_ptr(&self, _attached: Attached<'_>) -> *mut PyObject {
        Bound::as_ptr(self)
    }
}

// SAFETY: PyO3 promises that what it borrows from outlives it.
unsafe impl<T> Object for Borrowed<'_, '_, T> {
    fn as_ptr(&self, _attached: Attached<'_>) -> *mut PyObject {
        Borrowed::as_ptr(*self)
    }
}

// SAFETY: it owns a reference to its value, once that is made; this makes it.
unsafe impl Object for PyErr {
    fn as_ptr(&self, _attached: Attached<'_>) -> *mut PyObject {
        // SAFETY: the caller has the proof of it.
        let py = unsafe { Python::assume_attached() };
        self.value(py).as_ptr()
    }
}

// SAFETY: PyO3's type says so.
unsafe impl Exception for Py<PyBaseException> {}
// SAFETY: PyO3's type says so.
unsafe impl Exception for Bound<'_, PyBaseException> {}
// SAFETY: PyO3's type says so.
unsafe impl Exception for Borrowed<'_, '_, PyBaseException> {}
// SAFETY: the value of a PyErr is one.
unsafe impl Exception for PyErr {}

impl From<Raised<'_>> for PyErr {
    fn from(raised: Raised<'_>) -> PyErr {
        let _proof = raised.attached();
        // SAFETY: the thread is attached while the lifetime of `raised` lasts; the reference, to an
        // exception, is given away.
        unsafe {
            let py = Python::assume_attached();
            PyErr::from_value(Bound::from_owned_ptr(py, raised.into_ptr()))
        }
    }
}
