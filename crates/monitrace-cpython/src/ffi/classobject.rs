//! `Include/cpython/classobject.h` (3.11).

use pyo3::ffi::{PyObject, PyTypeObject, vectorcallfunc};

#[repr(C)]
pub struct PyMethodObject {
    pub ob_base: PyObject,
    pub im_func: *mut PyObject,
    pub im_self: *mut PyObject,
    pub im_weakreflist: *mut PyObject,
    pub vectorcall: vectorcallfunc,
}

pub const FIELDS: &[super::Field] = super::fields!(PyMethodObject as "PyMethodObject":
    im_func, im_self,
);

unsafe extern "C" {
    pub static mut PyMethod_Type: PyTypeObject;
}
