//! The only way in from C: checks what C passed, and turns errors and panics into -1.

use monitrace::table::{State, StatePtr};
use monitrace_cpython::producer::{Occurrence, Thread};
use pyo3::exceptions::{PySystemError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs what a function of the table does. -1: an exception is set.
///
/// # Safety
/// The GIL is held, as the C API asks.
pub(crate) unsafe fn guard(body: impl FnOnce(Python<'_>) -> PyResult<()>) -> c_int {
    // SAFETY: the caller's promise.
    let py = unsafe { Python::assume_attached() };
    match catch_unwind(AssertUnwindSafe(|| body(py))) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            error.restore(py);
            -1
        }
        Err(_) => {
            PySystemError::new_err("monitrace: a native callback panicked").restore(py);
            -1
        }
    }
}

/// What comes with every event, checked.
pub(crate) struct Common<'a, 'py> {
    thread: Thread<'py>,
    pub(crate) state: &'a State,
    pub(crate) code_like: Borrowed<'a, 'py, PyAny>,
    pub(crate) offset: u32,
}

impl<'a, 'py> Common<'a, 'py> {
    /// # Safety
    /// What is not NULL is what the C API says, for as long as the call lasts.
    pub(crate) unsafe fn check(
        py: Python<'py>,
        thread: Thread<'py>,
        state: StatePtr,
        code_like: *mut ffi::PyObject,
        offset: i32,
    ) -> PyResult<Self> {
        // SAFETY: the caller's promise; states are only read and written with the GIL held.
        let state = unsafe { state.as_ref() }.ok_or_else(|| null("state"))?;
        // SAFETY: as above.
        let code_like = unsafe { object(py, code_like) }.ok_or_else(|| null("codelike"))?;
        let offset =
            u32::try_from(offset).map_err(|_| PyValueError::new_err("offset must be non-negative"))?;
        Ok(Common { thread, state, code_like, offset })
    }

    /// The event without what it carries.
    pub(crate) fn occurrence(&self, event: monitrace_core::Event) -> Occurrence<'_, 'py> {
        Occurrence {
            thread: self.thread,
            event,
            code_like: &self.code_like,
            offset: self.offset,
            line: 0,
            payload: monitrace_core::Payload::None,
            destination: None,
            call: None,
        }
    }
}

/// An object that C passed; `None` for NULL.
///
/// # Safety
/// It is NULL or alive for as long as the call lasts.
pub(crate) unsafe fn object<'a, 'py>(
    py: Python<'py>,
    pointer: *mut ffi::PyObject,
) -> Option<Borrowed<'a, 'py, PyAny>> {
    // SAFETY: the caller's promise.
    unsafe { Borrowed::from_ptr_or_opt(py, pointer) }
}

/// The error for an argument that must not be NULL.
pub(crate) fn null(argument: &str) -> PyErr {
    PyValueError::new_err(format!("{argument} must not be NULL"))
}

/// The current exception, taken away while tools are told of it.
pub(crate) struct Current(*mut ffi::PyObject);

impl Current {
    /// `None` if there is none.
    ///
    /// # Safety
    /// The GIL is held.
    pub(crate) unsafe fn take() -> Option<Current> {
        // SAFETY: the caller's promise. Not by PyO3, which resumes a panic that went through Python.
        let exception = unsafe {
            #[cfg(Py_3_12)]
            {
                ffi::PyErr_GetRaisedException()
            }
            #[cfg(not(Py_3_12))]
            {
                let (mut kind, mut value, mut traceback) =
                    (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
                ffi::PyErr_Fetch(&mut kind, &mut value, &mut traceback);
                if !kind.is_null() {
                    ffi::PyErr_NormalizeException(&mut kind, &mut value, &mut traceback);
                    if !traceback.is_null() {
                        ffi::PyException_SetTraceback(value, traceback);
                    }
                    ffi::Py_DECREF(kind);
                    ffi::Py_XDECREF(traceback);
                }
                value
            }
        };
        (!exception.is_null()).then_some(Current(exception))
    }

    pub(crate) fn object<'py>(&self, py: Python<'py>) -> Borrowed<'_, 'py, PyAny> {
        // SAFETY: owned, so alive.
        unsafe { Borrowed::from_ptr(py, self.0) }
    }

    /// Makes it the current exception again.
    ///
    /// # Safety
    /// The GIL is held.
    pub(crate) unsafe fn restore(self) {
        // SAFETY: the caller's promise; the reference is given away.
        unsafe {
            #[cfg(Py_3_12)]
            ffi::PyErr_SetRaisedException(self.0);
            #[cfg(not(Py_3_12))]
            {
                let kind = ffi::Py_TYPE(self.0).cast::<ffi::PyObject>();
                ffi::Py_INCREF(kind);
                ffi::PyErr_Restore(kind, self.0, ffi::PyException_GetTraceback(self.0));
            }
        }
    }

    /// Forgets it: another one takes its place.
    ///
    /// # Safety
    /// The GIL is held.
    pub(crate) unsafe fn forget(self) {
        // SAFETY: the caller's promise; the reference is owned.
        unsafe { ffi::Py_DECREF(self.0) };
    }
}
