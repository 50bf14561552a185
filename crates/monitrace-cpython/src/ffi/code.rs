//! `Include/cpython/code.h` (3.11).

use pyo3::ffi::{Py_ssize_t, PyObject, PyVarObject};
use std::ffi::{c_char, c_int, c_short, c_void};

/// One 16-bit code unit: opcode in the low byte, oparg in the high one (little-endian layout).
pub type CodeUnit = u16;

#[repr(C)]
pub struct PyCodeObject {
    pub ob_base: PyVarObject,
    pub co_consts: *mut PyObject,
    pub co_names: *mut PyObject,
    pub co_exceptiontable: *mut PyObject,
    pub co_flags: c_int,
    pub co_warmup: c_short,
    pub _co_linearray_entry_size: c_short,
    pub co_argcount: c_int,
    pub co_posonlyargcount: c_int,
    pub co_kwonlyargcount: c_int,
    pub co_stacksize: c_int,
    pub co_firstlineno: c_int,
    pub co_nlocalsplus: c_int,
    pub co_nlocals: c_int,
    pub co_nplaincellvars: c_int,
    pub co_ncellvars: c_int,
    pub co_nfreevars: c_int,
    pub co_localsplusnames: *mut PyObject,
    pub co_localspluskinds: *mut PyObject,
    pub co_filename: *mut PyObject,
    pub co_name: *mut PyObject,
    pub co_qualname: *mut PyObject,
    pub co_linetable: *mut PyObject,
    pub co_weakreflist: *mut PyObject,
    pub _co_code: *mut PyObject,
    pub _co_linearray: *mut c_char,
    pub _co_firsttraceable: c_int,
    pub co_extra: *mut c_void,
    pub co_code_adaptive: [CodeUnit; 1],
}

pub const FIELDS: &[super::Field] = super::fields!(PyCodeObject as "PyCodeObject":
    co_consts, co_names, co_exceptiontable, co_flags, co_argcount, co_posonlyargcount,
    co_kwonlyargcount, co_stacksize, co_firstlineno, co_nlocalsplus, co_nlocals, co_filename,
    co_name, co_qualname, co_linetable, _co_code, _co_firsttraceable, co_extra,
);

/// Where the instructions start (the array's element type is a byte in C).
pub const CODE_OFFSET: usize = core::mem::offset_of!(PyCodeObject, co_code_adaptive);

unsafe extern "C" {
    pub fn PyCode_GetCode(code: *mut PyCodeObject) -> *mut PyObject;
    pub fn PyCode_GetVarnames(code: *mut PyCodeObject) -> *mut PyObject;
    pub fn PyCode_GetCellvars(code: *mut PyCodeObject) -> *mut PyObject;
    pub fn PyCode_GetFreevars(code: *mut PyCodeObject) -> *mut PyObject;
    pub fn _PyCode_GetExtra(code: *mut PyObject, index: Py_ssize_t, extra: *mut *mut c_void) -> c_int;
    pub fn _PyCode_SetExtra(code: *mut PyObject, index: Py_ssize_t, extra: *mut c_void) -> c_int;
    pub fn PyCode_NewWithPosOnlyArgs(
        argcount: c_int,
        posonlyargcount: c_int,
        kwonlyargcount: c_int,
        nlocals: c_int,
        stacksize: c_int,
        flags: c_int,
        code: *mut PyObject,
        consts: *mut PyObject,
        names: *mut PyObject,
        varnames: *mut PyObject,
        freevars: *mut PyObject,
        cellvars: *mut PyObject,
        filename: *mut PyObject,
        name: *mut PyObject,
        qualname: *mut PyObject,
        firstlineno: c_int,
        linetable: *mut PyObject,
        exceptiontable: *mut PyObject,
    ) -> *mut PyCodeObject;
}
