//! `Include/cpython/ceval.h`, `Include/cpython/pystate.h` and `Include/internal/pycore_ceval.h`
//! (3.11): evaluation of frames (PEP 523).

use super::frame::InterpreterFrame;
use super::pystate::ThreadState;
use pyo3::ffi::{PyInterpreterState, PyObject};
use std::ffi::c_int;

/// `_PyFrameEvalFunction`.
pub type FrameEvalFunction =
    unsafe extern "C" fn(*mut ThreadState, *mut InterpreterFrame, c_int) -> *mut PyObject;

/// `PyTrace_CALL` … `PyTrace_OPCODE`.
pub const PY_TRACE_EXCEPTION: c_int = 1;
pub const PY_TRACE_LINE: c_int = 2;
pub const PY_TRACE_RETURN: c_int = 3;
pub const PY_TRACE_OPCODE: c_int = 7;

unsafe extern "C" {
    pub fn _PyEval_EvalFrameDefault(
        thread: *mut ThreadState,
        frame: *mut InterpreterFrame,
        throw: c_int,
    ) -> *mut PyObject;
    pub fn _PyInterpreterState_GetEvalFrameFunc(interp: *mut PyInterpreterState) -> FrameEvalFunction;
    pub fn _PyInterpreterState_SetEvalFrameFunc(interp: *mut PyInterpreterState, eval: FrameEvalFunction);
}
