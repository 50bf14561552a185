//! `Include/cpython/genobject.h` (3.11). Generators, coroutines and asynchronous generators begin alike.

use super::code::PyCodeObject;
use super::pystate::ErrStackItem;
use pyo3::ffi::PyObject;
use std::ffi::c_char;

#[repr(C)]
pub struct PyGenObject {
    pub ob_base: PyObject,
    pub gi_code: *mut PyCodeObject,
    pub gi_weakreflist: *mut PyObject,
    pub gi_name: *mut PyObject,
    pub gi_qualname: *mut PyObject,
    pub gi_exc_state: ErrStackItem,
    pub gi_origin_or_finalizer: *mut PyObject,
    pub gi_hooks_inited: c_char,
    pub gi_closed: c_char,
    pub gi_running_async: c_char,
    pub gi_frame_state: i8,
    pub gi_iframe: [*mut PyObject; 1],
}

pub const FIELDS: &[super::Field] = super::fields!(PyGenObject as "PyGenObject":
    gi_code, gi_exc_state, gi_frame_state, gi_iframe,
);

/// `FRAME_EXECUTING` (`pycore_frame.h`): states below it are those of a frame that waits.
pub const FRAME_EXECUTING: i8 = 0;
