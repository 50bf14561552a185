//! `Include/cpython/traceback.h` (3.11).

use super::frame::PyFrameObject;
use pyo3::ffi::PyObject;
use std::ffi::c_int;

#[repr(C)]
pub struct PyTracebackObject {
    pub ob_base: PyObject,
    pub tb_next: *mut PyTracebackObject,
    pub tb_frame: *mut PyFrameObject,
    pub tb_lasti: c_int,
    pub tb_lineno: c_int,
}

pub const FIELDS: &[super::Field] = super::fields!(PyTracebackObject as "PyTracebackObject":
    tb_frame, tb_lasti, tb_lineno,
);
