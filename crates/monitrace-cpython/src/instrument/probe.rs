//! Looks, in the running interpreter, whether it is laid out as `ffi` declares, before anything is
//! written to it. `tests/layout.rs` asks the headers; this asks the interpreter itself, which may have
//! been built from others.

use super::records::CodePtr;
use crate::ffi::code::CODE_OFFSET;
use crate::ffi::frame::{FRAME_OWNED_BY_THREAD, FRAME_SPECIALS_SIZE, PyFrameObject};
use crate::ffi::pystate::{_PyThreadState_UncheckedGet, PyThreadState_GetFrame};
use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Refuses an interpreter that this was not made for.
///
/// # Errors
/// `ImportError` with the reason.
pub(super) fn check(py: Python<'_>) -> PyResult<()> {
    static CHECKED: AtomicBool = AtomicBool::new(false);
    if CHECKED.load(Relaxed) {
        return Ok(());
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(PyImportError::new_err(
            "monitrace supports Python 3.11 on Linux x86-64 only; use Python 3.12 or later here",
        ));
    }
    if let Some(what) = first_difference(py)? {
        return Err(PyImportError::new_err(format!(
            "monitrace does not support this build of Python 3.11: its {what} is laid out differently"
        )));
    }
    CHECKED.store(true, Relaxed);
    Ok(())
}

/// What differs first from the declarations, from the safest look to the deepest.
fn first_difference(py: Python<'_>) -> PyResult<Option<&'static str>> {
    let function = py.eval(c"lambda first, second=1: (first, 'probe', second)", None, None)?;
    let object = function.getattr("__code__")?;
    let number = |name: &str| object.getattr(name)?.extract::<i32>();
    let is = |name: &str, pointer: *mut ffi::PyObject| -> PyResult<bool> {
        Ok(object.getattr(name)?.as_ptr() == pointer)
    };
    let code: CodePtr = object.as_ptr().cast();
    // SAFETY: the fields lie within the object (its basic size is checked first), and reading pointers
    // without following them is sound whatever they are.
    unsafe {
        let size = (*ffi::Py_TYPE(object.as_ptr())).tp_basicsize;
        if size < CODE_OFFSET as ffi::Py_ssize_t || size > CODE_OFFSET as ffi::Py_ssize_t + 16 {
            return Ok(Some("code object"));
        }
        let same = number("co_stacksize")? == (*code).co_stacksize
            && number("co_flags")? == (*code).co_flags
            && number("co_argcount")? == (*code).co_argcount
            && number("co_nlocals")? == (*code).co_nlocals
            && number("co_nlocals")? == (*code).co_nlocalsplus
            && number("co_firstlineno")? == (*code).co_firstlineno
            && is("co_consts", (*code).co_consts)?
            && is("co_names", (*code).co_names)?
            && is("co_filename", (*code).co_filename)?
            && is("co_name", (*code).co_name)?
            && is("co_qualname", (*code).co_qualname)?
            && is("co_linetable", (*code).co_linetable)?
            && is("co_exceptiontable", (*code).co_exceptiontable)?;
        if !same {
            return Ok(Some("code object"));
        }
        let bytes = object.getattr("co_code")?.cast_into::<PyBytes>()?;
        let first = code.cast::<u8>().add(CODE_OFFSET).cast::<[u8; 2]>().read_unaligned();
        if !bytes.as_bytes().starts_with(&first) {
            return Ok(Some("code object"));
        }
        if (*function.as_ptr().cast::<ffi::PyFunctionObject>()).func_code != object.as_ptr() {
            return Ok(Some("function object"));
        }
        let thread = _PyThreadState_UncheckedGet();
        if (*thread).interp != ffi::PyInterpreterState_Get() {
            return Ok(Some("thread state"));
        }
        let frame_object = PyThreadState_GetFrame(thread);
        if frame_object.is_null() {
            return Ok(None);
        }
        let held = Bound::from_owned_ptr(py, frame_object.cast());
        let frame = (*held.as_ptr().cast::<PyFrameObject>()).f_frame;
        if (*(*thread).cframe).current_frame != frame {
            return Ok(Some("thread state"));
        }
        if held.getattr("f_code")?.as_ptr() != (*frame).f_code.cast() {
            return Ok(Some("frame"));
        }
        let code = (*frame).f_code;
        let end = frame
            .cast::<*mut ffi::PyObject>()
            .add(FRAME_SPECIALS_SIZE + (*code).co_nlocalsplus as usize + (*code).co_stacksize as usize);
        if (*frame).owner == FRAME_OWNED_BY_THREAD && end != (*thread).datastack_top {
            return Ok(Some("data stack"));
        }
    }
    Ok(None)
}
