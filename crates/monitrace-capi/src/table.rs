//! The table that the package gives to producers; its layout is the crate `monitrace`'s.

use crate::functions as f;
use monitrace::table::{Api, CAPSULE, VERSION, WAITING};
use monitrace_cpython::producer;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyList, PyModule};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering::Release};

static API: Api = Api {
    version: VERSION,
    size: size_of::<Api>() as u32,
    words: &producer::WORDS,
    enter_scope: f::enter_scope,
    exit_scope: f::exit_scope,
    fire_py_start: f::fire_py_start,
    fire_py_resume: f::fire_py_resume,
    fire_py_return: f::fire_py_return,
    fire_py_yield: f::fire_py_yield,
    fire_call: f::fire_call,
    fire_line: f::fire_line,
    fire_jump: f::fire_jump,
    fire_branch: f::fire_branch_right,
    fire_branch_left: f::fire_branch_left,
    fire_branch_right: f::fire_branch_right,
    fire_c_return: f::fire_c_return,
    fire_py_throw: f::fire_py_throw,
    fire_raise: f::fire_raise,
    fire_c_raise: f::fire_c_raise,
    fire_reraise: f::fire_reraise,
    fire_exception_handled: f::fire_exception_handled,
    fire_py_unwind: f::fire_py_unwind,
    fire_stop_iteration: f::fire_stop_iteration,
};

/// Puts the table into the extension module, and hands it to the C files that wait for it.
///
/// # Errors
/// If there is no memory for it.
pub fn publish(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    producer::prepare();
    let pointer = NonNull::from(&API).cast::<c_void>();
    // SAFETY: the table is a static, and C knows its layout by its version.
    let capsule = unsafe { PyCapsule::new_with_pointer(py, pointer, CAPSULE)? };
    // Not `add`, which would export it: it is for C.
    module.setattr("_C_API", capsule)?;
    wake(py)
}

fn wake(py: Python<'_>) -> PyResult<()> {
    // SAFETY: the GIL is held; the dictionary is the interpreter's, borrowed.
    let Some(dictionary) = (unsafe {
        Bound::from_borrowed_ptr_or_opt(py, ffi::PyInterpreterState_GetDict(ffi::PyInterpreterState_Get()))
    }) else {
        return Ok(());
    };
    let key = WAITING.to_string_lossy();
    let Ok(waiting) = dictionary.get_item(&*key) else { return Ok(()) };
    for capsule in waiting.cast::<PyList>()? {
        // SAFETY: a capsule of this name holds the address of a `const Monitrace_Api *` (in Rust,
        // `AtomicPtr<Api>`) that code for this version of the table reads with the GIL held, in a library
        // that stays loaded.
        unsafe {
            let slot = ffi::PyCapsule_GetPointer(capsule.as_ptr(), WAITING.as_ptr());
            if slot.is_null() {
                return Err(PyErr::fetch(py));
            }
            (*slot.cast::<AtomicPtr<Api>>()).store((&raw const API).cast_mut(), Release);
        }
    }
    dictionary.del_item(&*key)
}
