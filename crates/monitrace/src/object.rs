//! What producers hand over: the proof that the thread is attached, objects, and exceptions.
//!
//! It owns what must be promised of them, each in one place. With the feature `pyo3`, PyO3 has promised
//! it already, and nothing here that is `unsafe` is needed.

use pyo3_ffi as ffi;
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// The proof that the current thread is attached to the interpreter (holds the GIL), for as long as `'py`
/// lasts. With the feature `pyo3`, a `pyo3::Python` becomes one.
#[derive(Clone, Copy)]
pub struct Attached<'py>(PhantomData<(&'py (), *mut ())>);

impl<'py> Attached<'py> {
    /// Takes the caller's word for it.
    ///
    /// # Safety
    /// The current thread is attached to the interpreter for as long as `'py` lasts.
    #[inline]
    pub const unsafe fn assume() -> Attached<'py> {
        Attached(PhantomData)
    }
}

impl fmt::Debug for Attached<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attached")
    }
}

/// A Python object: PyO3's `Bound`, `Borrowed`, `Py` and `PyErr` with the feature `pyo3`, or an [`ObjectRef`].
///
/// # Safety
/// What [`as_ptr`](Object::as_ptr) gives is alive for as long as the value is borrowed.
pub unsafe trait Object {
    /// Where the object is. Borrowed, never NULL.
    fn as_ptr(&self, attached: Attached<'_>) -> *mut ffi::PyObject;
}

/// An object that is an instance of `BaseException`: PyO3's `PyErr`, `Bound<PyBaseException>` and so on with
/// the feature `pyo3`, an [`ExceptionRef`], or what a callback [`Raised`](crate::Raised).
///
/// # Safety
/// It is one.
pub unsafe trait Exception: Object {}

/// An object that is borrowed for `'a`, for those who do not use PyO3.
#[derive(Clone, Copy, Debug)]
pub struct ObjectRef<'a>(NonNull<ffi::PyObject>, PhantomData<&'a ()>);

impl<'a> ObjectRef<'a> {
    /// `None` for NULL.
    ///
    /// # Safety
    /// The object is alive for as long as `'a` lasts.
    pub const unsafe fn from_ptr(object: *mut ffi::PyObject) -> Option<ObjectRef<'a>> {
        match NonNull::new(object) {
            Some(object) => Some(ObjectRef(object, PhantomData)),
            None => None,
        }
    }

    /// The same object as an exception, if it is one.
    pub fn as_exception(self, _attached: Attached<'_>) -> Option<ExceptionRef<'a>> {
        // SAFETY: the object is alive, as was promised when this was made; the thread is attached.
        let is_one = unsafe { ffi::PyExceptionInstance_Check(self.0.as_ptr()) } != 0;
        is_one.then_some(ExceptionRef(self))
    }
}

// SAFETY: it is alive for 'a, as was promised when this was made.
unsafe impl Object for ObjectRef<'_> {
    fn as_ptr(&self, _attached: Attached<'_>) -> *mut ffi::PyObject {
        self.0.as_ptr()
    }
}

/// An exception that is borrowed for `'a`: see [`ObjectRef::as_exception`].
#[derive(Clone, Copy, Debug)]
pub struct ExceptionRef<'a>(ObjectRef<'a>);

// SAFETY: as the object in it.
unsafe impl Object for ExceptionRef<'_> {
    fn as_ptr(&self, attached: Attached<'_>) -> *mut ffi::PyObject {
        self.0.as_ptr(attached)
    }
}

// SAFETY: `as_exception`, the only place where it is made, has looked.
unsafe impl Exception for ExceptionRef<'_> {}
