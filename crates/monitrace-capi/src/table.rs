//! The table: `Monitrace_Api` in `monitrace.h`, field by field.

use crate::functions as f;
use crate::trampoline::StatePtr;
use monitrace_cpython::producer::{self, Words};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyList, PyModule};
use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering::Release};

const VERSION: u32 = 1;
const CAPSULE: &CStr = c"monitrace._native._C_API";
/// The list in the interpreter's dictionary in which C files that found no package leave the addresses
/// of their table pointers.
const WAITING: &CStr = c"monitrace.waiting.1";

pub(crate) type Enter = unsafe extern "C" fn(StatePtr, *mut u64, *const u8, ffi::Py_ssize_t) -> c_int;
pub(crate) type Place = unsafe extern "C" fn(StatePtr, *mut ffi::PyObject, i32) -> c_int;
pub(crate) type Value = unsafe extern "C" fn(StatePtr, *mut ffi::PyObject, i32, *mut ffi::PyObject) -> c_int;
pub(crate) type Call =
    unsafe extern "C" fn(StatePtr, *mut ffi::PyObject, i32, *mut ffi::PyObject, *mut ffi::PyObject) -> c_int;
pub(crate) type Line = unsafe extern "C" fn(StatePtr, *mut ffi::PyObject, i32, c_int) -> c_int;

#[repr(C)]
struct Api {
    version: u32,
    size: u32,
    words: &'static Words,
    enter_scope: Enter,
    exit_scope: unsafe extern "C" fn() -> c_int,
    fire_py_start: Place,
    fire_py_resume: Place,
    fire_py_return: Value,
    fire_py_yield: Value,
    fire_call: Call,
    fire_line: Line,
    fire_jump: Value,
    fire_branch: Value,
    fire_branch_left: Value,
    fire_branch_right: Value,
    fire_c_return: Value,
    fire_py_throw: Place,
    fire_raise: Place,
    fire_c_raise: Place,
    fire_reraise: Place,
    fire_exception_handled: Place,
    fire_py_unwind: Place,
    fire_stop_iteration: Value,
}

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
        // SAFETY: a capsule of this name holds the address of a `const Monitrace_Api *` that C code of
        // this version of the table reads with the GIL held, in a library that stays loaded.
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
