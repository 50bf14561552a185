//! Before 3.14: the method `co_branches` of code objects, as 3.14 has it. It puts it into the type and takes
//! it out again; what it answers is the affair of `instrument` or `native`.

#![allow(unsafe_code)]

#[cfg(not(Py_3_12))]
use crate::instrument as way;
#[cfg(Py_3_12)]
use crate::native as way;
use pyo3::exceptions::PySystemError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCode, PyDict, PyList};
use std::panic::catch_unwind;
use std::ptr;

/// The offsets of a branch: its own, that of the left and that of the right side.
pub(crate) type Branch = (u32, u32, u32);

unsafe extern "C" fn co_branches(code: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    let answer = catch_unwind(|| {
        // SAFETY: the interpreter calls methods with the GIL held, and with an instance of their type.
        let (py, code) = unsafe {
            let py = Python::assume_attached();
            (py, Bound::from_borrowed_ptr(py, code))
        };
        let branches = way::branches_of(&code).and_then(|branches| PyList::new(py, branches)?.try_iter());
        branches.map(Bound::into_ptr).unwrap_or_else(|error| {
            error.restore(py);
            ptr::null_mut()
        })
    });
    answer.unwrap_or_else(|_| {
        // SAFETY: as above.
        PySystemError::new_err("monitrace: co_branches panicked")
            .restore(unsafe { Python::assume_attached() });
        ptr::null_mut()
    })
}

/// Changes the names of the type of code objects.
fn change(py: Python<'_>, change: impl FnOnce(&Bound<'_, PyDict>) -> PyResult<()>) -> PyResult<()> {
    let code_type = py.get_type::<PyCode>().as_type_ptr();
    // SAFETY: a type that is ready, which has such a dictionary; the reference is new.
    let names = unsafe { Bound::from_owned_ptr_or_err(py, crate::ffi::type_dict(code_type)) }?;
    change(names.cast()?)?;
    // SAFETY: as above. What the interpreter has looked up before is to be looked up again.
    unsafe { ffi::PyType_Modified(code_type) };
    Ok(())
}

/// Gives code objects the method.
pub(crate) fn install(py: Python<'_>) -> PyResult<()> {
    static METHOD: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let method = METHOD.get_or_try_init(py, || {
        // It has to outlive the interpreter.
        let definition = Box::leak(Box::new(ffi::PyMethodDef {
            ml_name: c"co_branches".as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunction: co_branches },
            ml_flags: ffi::METH_NOARGS,
            ml_doc: ptr::null(),
        }));
        let code_type = py.get_type::<PyCode>().as_type_ptr();
        // SAFETY: a type, and a definition that fits its function and stays.
        let method =
            unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(code_type, definition)) };
        method.map(Bound::unbind)
    })?;
    change(py, |names| names.set_item("co_branches", method))
}

/// Takes the method away.
pub(crate) fn uninstall(py: Python<'_>) -> PyResult<()> {
    change(py, |names| names.del_item("co_branches"))
}
