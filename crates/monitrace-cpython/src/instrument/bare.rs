//! Callbacks without hooks.
//!
//! A callback is code of the program too, and instrumented like the rest. Its thread is mute, so its
//! own hooks would run at every event and tell nobody. A callback that is a Python function, or a
//! method of one, is therefore called through a *bare* function: another function object, over the
//! code object that the program knows. Everybody else keeps calling the program's function.
//!
//! A bare function must never be seen by the program, nor found by the walk that instruments functions
//! (the garbage collector does not know it), nor run what outlasts the call: generators, and functions
//! made from nested code.

use super::records::{CodePtr, Instrumented, Original, is_code};
use pyo3::ffi;
use pyo3::prelude::*;
use std::mem::ManuallyDrop;
use std::ptr;
use std::rc::Rc;

/// What to call instead of one callable, as long as that is what it was.
pub(crate) struct Bare {
    bare: ManuallyDrop<Py<PyAny>>,
    /// The program's function. Borrowed, as the receiver is: whoever has the bare one holds the callable.
    function: *mut ffi::PyFunctionObject,
    /// What a method is bound to; NULL for a function.
    receiver: *mut ffi::PyObject,
    original: Rc<Original>,
}

// SAFETY: made, used and dropped with the GIL held: on 3.11 callbacks are only reached through the
// monitor, see slot.rs.
unsafe impl Send for Bare {}
// SAFETY: as above.
unsafe impl Sync for Bare {}

impl Bare {
    /// A way around the hooks of `callable`; `None` if there can be none.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(crate) fn new(callable: &Bound<'_, PyAny>) -> PyResult<Option<Bare>> {
        let py = callable.py();
        let (function, receiver) = if callable.get_type().is(&py.import("types")?.getattr("MethodType")?) {
            (callable.getattr("__func__")?, callable.getattr("__self__")?.as_ptr())
        } else {
            (callable.clone(), ptr::null_mut())
        };
        // SAFETY: a live object; reading its type's address is always allowed.
        if unsafe { ffi::Py_TYPE(function.as_ptr()) } != &raw mut ffi::PyFunction_Type {
            return Ok(None);
        }
        let function: *mut ffi::PyFunctionObject = function.as_ptr().cast();
        // SAFETY: a live function, whose code object is alive too. The parts of the new function are
        // those of the old one; no program runs between its making and its leaving the collector's
        // sight.
        unsafe {
            let code: CodePtr = (*function).func_code.cast();
            let code = Instrumented::of(code).map_or(code, |copy| copy.original().code());
            if outlasts_calls(code) {
                return Ok(None);
            }
            let original = Original::of(py, code)?;
            let made = ffi::PyFunction_NewWithQualName(
                code.cast(),
                (*function).func_globals,
                (*function).func_qualname,
            );
            let bare = Bound::from_owned_ptr_or_err(py, made)?.unbind();
            ffi::PyObject_GC_UnTrack(made.cast());
            let bare = Bare { bare: ManuallyDrop::new(bare), function, receiver, original };
            let made: *mut ffi::PyFunctionObject = made.cast();
            for (part, own) in [
                (&raw mut (*made).func_defaults, (*function).func_defaults),
                (&raw mut (*made).func_kwdefaults, (*function).func_kwdefaults),
                (&raw mut (*made).func_closure, (*function).func_closure),
            ] {
                ffi::Py_XINCREF(own);
                part.write(own);
            }
            Ok((bare.is_alike() && (*made).func_builtins == (*function).func_builtins).then_some(bare))
        }
    }

    /// Whether a call of the program's function would do what a call of the bare one does.
    fn is_alike(&self) -> bool {
        let bare: *mut ffi::PyFunctionObject = self.bare.as_ptr().cast();
        // SAFETY: both are live functions.
        unsafe {
            (*bare).func_defaults == (*self.function).func_defaults
                && (*bare).func_kwdefaults == (*self.function).func_kwdefaults
                && (*bare).func_qualname == (*self.function).func_qualname
                && (*bare).vectorcall.map(|f| f as usize) == (*self.function).vectorcall.map(|f| f as usize)
        }
    }

    /// The function to call now, and its first argument if it has one; `None` if it must be the
    /// callable itself, because its function has no hooks or was changed by the program.
    pub(crate) fn function(&self) -> Option<(*mut ffi::PyObject, *mut ffi::PyObject)> {
        // SAFETY: the function is alive, see its field.
        let code = unsafe { (*self.function).func_code };
        // A dead copy is never current, so its address cannot be mistaken for a new code object's.
        let hooked = self.original.current().is_some_and(|copy| ptr::eq(copy.code().cast(), code));
        (hooked && self.is_alike()).then(|| (self.bare.as_ptr(), self.receiver))
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // SAFETY: the GIL is held. A function's destructor expects that the collector knows it. The
        // reference is given up once.
        unsafe {
            ffi::PyObject_GC_Track(self.bare.as_ptr().cast());
            ManuallyDrop::drop(&mut self.bare);
        }
    }
}

/// Whether a call may leave something behind that runs when the callback is over.
///
/// # Safety
/// A live code object.
unsafe fn outlasts_calls(code: CodePtr) -> bool {
    let generator = ffi::CO_GENERATOR | ffi::CO_COROUTINE | ffi::CO_ASYNC_GENERATOR;
    // SAFETY: see above; its constants are a tuple of live objects.
    unsafe {
        let consts = (*code).co_consts;
        (*code).co_flags & generator != 0
            || (0..ffi::PyTuple_GET_SIZE(consts)).any(|i| is_code(ffi::PyTuple_GET_ITEM(consts, i)))
    }
}
