//! `Include/cpython/sysmodule.h` (3.11).

use pyo3::ffi::PyObject;
use std::ffi::{c_char, c_int, c_void};

/// `Py_AuditHookFunction`.
pub type AuditHook = unsafe extern "C" fn(*const c_char, *mut PyObject, *mut c_void) -> c_int;

unsafe extern "C" {
    pub fn PySys_AddAuditHook(hook: AuditHook, data: *mut c_void) -> c_int;
}
