//! Tight hooks: those of frames whose stack has no room for their constant.
//!
//! `DELETE_GLOBAL hook; UNARY_INVERT`, with the second for a handler of the first. To look the hook up as a name, the
//! interpreter asks for its hash. That takes the value on top of the stack off and raises a *detour* with it, which
//! so comes to lie where the value was; inverting the detour puts the value back, fires the event, and gives the
//! value to the interpreter. Nothing of the program runs between the two, and nothing of it is ever told of a
//! detour: no handler of its own stands there, and trace functions are held back.

use super::hook::Hook;
use super::tracer;
use crate::ffi::pystate::_PyThreadState_UncheckedGet;
use pyo3::exceptions::{PyBaseException, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

/// The type of detours. Its instances hold the hook and the value.
fn detour_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static TYPE: OnceLock<Py<PyType>> = OnceLock::new();
    if let Some(kind) = TYPE.get() {
        return Ok(kind.bind(py));
    }
    let mut slots = [
        ffi::PyType_Slot { slot: ffi::Py_nb_invert, pfunc: invert as *mut c_void },
        ffi::PyType_Slot { slot: 0, pfunc: ptr::null_mut() },
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"monitrace.Detour".as_ptr(),
        basicsize: 0,
        itemsize: 0,
        flags: ffi::Py_TPFLAGS_DEFAULT as _,
        slots: slots.as_mut_ptr(),
    };
    let base = py.get_type::<PyBaseException>();
    // SAFETY: the spec is complete and outlives the call; sizes, flags and all other slots are inherited.
    let made = unsafe {
        let made = ffi::PyType_FromSpecWithBases(&mut spec, base.as_ptr());
        Bound::from_owned_ptr_or_err(py, made)?.cast_into_unchecked::<PyType>().unbind()
    };
    Ok(TYPE.get_or_init(|| made).bind(py))
}

/// The hash of a hook. Where the interpreter looks a tight one up, it takes the detour instead.
pub(super) unsafe extern "C" fn hash(hook: *mut ffi::PyObject) -> ffi::Py_hash_t {
    // SAFETY: tp_hash is called with the GIL held and an instance of the type.
    let (py, object) = unsafe { (Python::assume_attached(), &*hook.cast::<Hook>()) };
    match object.slot_on_top(-1) {
        // SAFETY: a slot of the frame that is about to run the hook, which owns what is there.
        Some(slot) => unsafe {
            if let Err(error) = take(py, hook, slot) {
                error.restore(py);
            }
            -1
        },
        // Like that of any object, and never -1.
        None => (hook as usize >> 4) as ffi::Py_hash_t,
    }
}

/// Raises a detour for the value in a slot.
///
/// # Safety
/// The slot is the topmost of the frame that is about to run the hook, in memory.
unsafe fn take(py: Python<'_>, hook: *mut ffi::PyObject, slot: *mut *mut ffi::PyObject) -> PyResult<()> {
    // SAFETY: see above; the hook is alive, and what lies on top of a stack is an object: the rewriter sees to it.
    // The current thread exists.
    unsafe {
        let held = Bound::from_borrowed_ptr(py, hook);
        let value = Bound::from_borrowed_ptr(py, *slot);
        let kind = detour_type(py)?;
        let detour = kind.call1((held, value))?;
        drop(Bound::from_owned_ptr(py, slot.replace(ptr::null_mut())));
        tracer::hold_back(_PyThreadState_UncheckedGet());
        // Not by PyErr: it would be chained to what is being handled.
        ffi::PyErr_Restore(kind.clone().into_ptr(), detour.into_ptr(), ptr::null_mut());
    }
    Ok(())
}

/// The end of a detour: fires the event and gives the value back, which a callback may have replaced.
unsafe extern "C" fn invert(detour: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: nb_invert is called with the GIL held and an instance of the type, whose arguments are a tuple or
    // NULL. Anybody might have made it, so it counts only where its hook has its slot, which is the one that holds
    // the detour: the interpreter owns that and writes its result there.
    unsafe {
        let py = Python::assume_attached();
        let arguments = (*detour.cast::<ffi::PyBaseExceptionObject>()).args;
        let arguments = Bound::from_borrowed_ptr_or_opt(py, arguments);
        let arguments = arguments.as_ref().and_then(|arguments| arguments.cast::<PyTuple>().ok());
        let parts = arguments.and_then(|arguments| {
            Some((arguments.get_item(0).ok()?, arguments.get_item(1).ok().filter(|_| arguments.len() == 2)?))
        });
        let hook = parts.as_ref().filter(|(hook, _)| Hook::is_hook(hook.as_ptr()));
        let slot = hook.and_then(|(hook, _)| (*hook.as_ptr().cast::<Hook>()).slot_on_top(0));
        let (Some((hook, value)), Some(slot)) = (parts, slot.filter(|&slot| *slot == detour)) else {
            PyTypeError::new_err("bad operand type for unary ~: 'monitrace.Detour'").restore(py);
            return ptr::null_mut();
        };
        tracer::give_back(_PyThreadState_UncheckedGet());
        slot.write(value.into_ptr());
        let hook: *mut Hook = hook.as_ptr().cast();
        let asked: c_int = (*hook).ask(py);
        let value = slot.replace(detour);
        if asked < 0 {
            drop(Bound::from_owned_ptr(py, value));
            return ptr::null_mut();
        }
        value
    }
}
