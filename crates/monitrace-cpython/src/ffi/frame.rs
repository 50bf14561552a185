//! `Include/internal/pycore_frame.h` (3.11).

use super::code::{CodeUnit, PyCodeObject};
use pyo3::ffi::{PyFunctionObject, PyObject};
use std::ffi::{c_char, c_int};

/// `FRAME_OWNED_BY_THREAD`: the frame lies on its thread's data stack.
pub const FRAME_OWNED_BY_THREAD: c_char = 0;
/// `FRAME_OWNED_BY_GENERATOR`: the frame lies in its generator and cannot grow.
pub const FRAME_OWNED_BY_GENERATOR: c_char = 1;

/// `_PyInterpreterFrame`.
#[repr(C)]
pub struct InterpreterFrame {
    pub f_func: *mut PyFunctionObject,
    pub f_globals: *mut PyObject,
    pub f_builtins: *mut PyObject,
    pub f_locals: *mut PyObject,
    pub f_code: *mut PyCodeObject,
    pub frame_obj: *mut PyFrameObject,
    pub previous: *mut InterpreterFrame,
    pub prev_instr: *mut CodeUnit,
    pub stacktop: c_int,
    pub is_entry: bool,
    pub owner: c_char,
    pub localsplus: [*mut PyObject; 1],
}

/// `PyFrameObject`.
#[repr(C)]
pub struct PyFrameObject {
    pub ob_base: PyObject,
    pub f_back: *mut PyFrameObject,
    pub f_frame: *mut InterpreterFrame,
    pub f_trace: *mut PyObject,
    pub f_lineno: c_int,
    pub f_trace_lines: c_char,
    pub f_trace_opcodes: c_char,
    pub f_fast_as_locals: c_char,
}

pub const INTERPRETER_FRAME_FIELDS: &[super::Field] = super::fields!(InterpreterFrame as "_PyInterpreterFrame":
    f_func, f_code, frame_obj, previous, prev_instr, stacktop, is_entry, owner, localsplus,
);

pub const FRAME_OBJECT_FIELDS: &[super::Field] = super::fields!(PyFrameObject as "PyFrameObject":
    f_frame, f_lineno, f_trace_opcodes,
);

/// `FRAME_SPECIALS_SIZE`: the words of a frame before its locals.
pub const FRAME_SPECIALS_SIZE: usize =
    core::mem::offset_of!(InterpreterFrame, localsplus) / size_of::<usize>();
