//! Exceptions: the current one of the thread, and the one that an event came back with.

use crate::object::{Attached, Exception, Object};
use pyo3_ffi as ffi;
use std::ffi::CStr;
use std::fmt;
use std::ptr::NonNull;

/// An exception that came back instead of success: most often what a callback raised.
///
/// It is not the thread's current exception any more, so that dropping it leaves nothing behind. With the
/// feature `pyo3` it becomes a `PyErr`, by `?` too; without, [`restore`](Raised::restore) makes it current.
///
/// It can be fired on: a producer whose `LINE` came back with an exception fires `RAISE` and `PY_UNWIND`
/// with it, as the interpreter does.
#[must_use = "an exception is to be passed on, to the caller or to Python"]
pub struct Raised<'py> {
    /// Owned.
    exception: NonNull<ffi::PyObject>,
    attached: Attached<'py>,
}

impl<'py> Raised<'py> {
    /// Takes the current exception away, which there is after a -1.
    pub(crate) fn take(attached: Attached<'py>) -> Raised<'py> {
        let exception = NonNull::new(take_current(attached)).unwrap_or_else(|| {
            // SAFETY: the thread is attached. Setting an exception leaves one, if not this one.
            let made = unsafe {
                ffi::PyErr_SetString(ffi::PyExc_SystemError, c"an error without an exception".as_ptr());
                take_current(attached)
            };
            NonNull::new(made).expect("it was set just now")
        });
        Raised { exception, attached }
    }

    /// Makes it the current exception of the thread, in place of any other: what a C function does before
    /// it returns NULL or -1.
    pub fn restore(self) {
        let attached = self.attached;
        // SAFETY: an exception, whose reference is owned.
        unsafe { set_current(attached, self.into_ptr()) };
    }

    /// The exception; the reference is the caller's.
    pub fn into_ptr(self) -> *mut ffi::PyObject {
        std::mem::ManuallyDrop::new(self).exception.as_ptr()
    }

    pub(crate) fn attached(&self) -> Attached<'py> {
        self.attached
    }

    fn type_name(&self) -> &CStr {
        // SAFETY: the exception is owned, so its type is alive, and types have names.
        unsafe { CStr::from_ptr((*ffi::Py_TYPE(self.exception.as_ptr())).tp_name) }
    }
}

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        // SAFETY: the reference is owned, and the thread is attached while 'py lasts.
        unsafe { ffi::Py_DECREF(self.exception.as_ptr()) };
    }
}

// SAFETY: it owns the object.
unsafe impl Object for Raised<'_> {
    fn as_ptr(&self, _attached: Attached<'_>) -> *mut ffi::PyObject {
        self.exception.as_ptr()
    }
}

// SAFETY: nothing else can be the current exception, where it was taken from.
unsafe impl Exception for Raised<'_> {}

// Its type alone: more would run the program's code.
impl fmt::Debug for Raised<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raised({})", self.type_name().to_string_lossy())
    }
}

impl fmt::Display for Raised<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was raised", self.type_name().to_string_lossy())
    }
}

impl std::error::Error for Raised<'_> {}

/// The current exception, owned, or NULL. There is none afterwards.
pub(crate) fn take_current(_attached: Attached<'_>) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached.
    #[cfg(Py_3_12)]
    unsafe {
        ffi::PyErr_GetRaisedException()
    }
    // SAFETY: the thread is attached; the three are owned, and NULL if there is none.
    #[cfg(not(Py_3_12))]
    unsafe {
        use std::ptr::null_mut;
        let (mut kind, mut value, mut traceback) = (null_mut(), null_mut(), null_mut());
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
}

/// Makes an exception, whose reference is given away, the current one; NULL for none.
///
/// # Safety
/// It is NULL or an exception, and the caller owns the reference.
pub(crate) unsafe fn set_current(_attached: Attached<'_>, exception: *mut ffi::PyObject) {
    // SAFETY: the thread is attached; the rest is the caller's promise.
    unsafe {
        #[cfg(Py_3_12)]
        ffi::PyErr_SetRaisedException(exception);
        #[cfg(not(Py_3_12))]
        if exception.is_null() {
            ffi::PyErr_Clear();
        } else {
            let kind = ffi::Py_TYPE(exception).cast::<ffi::PyObject>();
            ffi::Py_INCREF(kind);
            ffi::PyErr_Restore(kind, exception, ffi::PyException_GetTraceback(exception));
        }
    }
}

/// Puts the current exception aside, and back when it is dropped.
pub(crate) struct Aside<'py> {
    /// Owned, or NULL.
    exception: *mut ffi::PyObject,
    attached: Attached<'py>,
}

impl<'py> Aside<'py> {
    pub(crate) fn new(attached: Attached<'py>) -> Aside<'py> {
        Aside { exception: take_current(attached), attached }
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        // SAFETY: it was the current exception, or NULL, and the reference is owned.
        unsafe { set_current(self.attached, self.exception) };
    }
}
