//! 3.12 and 3.13: the method `co_branches` of code objects, as 3.14 has it. It puts it into the type and
//! takes it out again; what it answers is `branch_table`'s affair.

#![allow(unsafe_code)]

use super::branch_table::Opcodes;
use pyo3::exceptions::PySystemError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyCode, PyDict, PyIterator, PyList};
use std::panic::catch_unwind;
use std::ptr;

/// What is known of the opcodes, asked for once.
pub(super) fn opcodes(py: Python<'_>) -> PyResult<&'static Opcodes> {
    static OPCODES: PyOnceLock<Opcodes> = PyOnceLock::new();
    OPCODES.get_or_try_init(py, || Opcodes::of_interpreter(py))
}

/// The instructions of a code object, without what events have made of them.
pub(super) fn instructions<'py>(code: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(code.getattr(intern!(code.py(), "co_code"))?.cast_into()?)
}

fn branches<'py>(code: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyIterator>> {
    let branches = opcodes(code.py())?.branches(instructions(code)?.as_bytes());
    PyList::new(code.py(), branches)?.try_iter()
}

unsafe extern "C" fn co_branches(code: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    let answer = catch_unwind(|| {
        // SAFETY: the interpreter calls methods with the GIL held, and with an instance of their type.
        let (py, code) = unsafe {
            let py = Python::assume_attached();
            (py, Bound::from_borrowed_ptr(py, code))
        };
        branches(&code).map(|branches| branches.into_ptr()).unwrap_or_else(|error| {
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
    let names = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_GetDict(code_type)) }?;
    change(names.cast()?)?;
    // SAFETY: as above. What the interpreter has looked up before is to be looked up again.
    unsafe { ffi::PyType_Modified(code_type) };
    Ok(())
}

/// Gives code objects the method.
pub(super) fn install(py: Python<'_>) -> PyResult<()> {
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
pub(super) fn uninstall(py: Python<'_>) -> PyResult<()> {
    change(py, |names| names.del_item("co_branches"))
}
