//! What a producer gets that does not use PyO3's types, and promises itself what they do.

mod common;

use common::{Tool, code_like, with_package};
use monitrace::event::{Line, PyReturn, PyUnwind};
use monitrace::{Attached, Object, ObjectRef, Raised, Scope};
use pyo3::ffi;
use pyo3::prelude::*;
use std::ptr;

static SCOPE: Scope<(Line, PyReturn, PyUnwind)> = Scope::new();

/// A C function, as it would be written without PyO3: 0, or -1 with an exception set.
///
/// # Safety
/// The thread is attached, and both objects are alive or NULL.
unsafe fn work(code: *mut ffi::PyObject, value: *mut ffi::PyObject) -> i32 {
    // SAFETY: the caller's promise.
    let (attached, code, value) =
        unsafe { (Attached::assume(), ObjectRef::from_ptr(code), ObjectRef::from_ptr(value)) };
    let (Some(code), Some(value)) = (code, value) else { return -1 };
    let run = || -> Result<(), Raised<'_>> {
        let entered = SCOPE.enter(attached, &code)?;
        entered.line(0, 1)?;
        match value.as_exception(attached) {
            Some(exception) => entered.py_unwind(0, &exception),
            None => entered.py_return(0, &value),
        }
    };
    match run() {
        Ok(()) => 0,
        Err(raised) => {
            raised.restore();
            -1
        }
    }
}

#[test]
fn events_are_told_and_errors_set() {
    with_package(|py| {
        let (code, tool) = (code_like(py)?, Tool::new(py, 1)?);
        tool.listen(&["LINE", "PY_RETURN", "PY_UNWIND"])?;
        let value = py.eval(c"'text'", None, None)?;
        let exception = py.eval(c"KeyError('key')", None, None)?;
        for value in [&value, &exception] {
            // SAFETY: the thread is attached, and both are alive.
            assert_eq!(unsafe { work(code.as_ptr(), value.as_ptr()) }, 0);
            assert!(PyErr::take(py).is_none());
        }
        let expected =
            "[('LINE', 1), ('PY_RETURN', 0, 'text'), ('LINE', 1), ('PY_UNWIND', 0, KeyError('key'))]";
        assert_eq!(tool.take()?, expected);

        tool.0.setattr("error", &exception)?;
        // SAFETY: as above.
        assert_eq!(unsafe { work(code.as_ptr(), value.as_ptr()) }, -1);
        assert!(PyErr::take(py).is_some_and(|error| error.value(py).is(&exception)));
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { work(ptr::null_mut(), value.as_ptr()) }, -1);
        Ok(())
    });
}

/// Those who write C functions may fire events while an exception is set.
#[test]
fn current_exception_stays_but_for_events_that_fail() {
    with_package(|py| {
        let (code, tool) = (code_like(py)?, Tool::new(py, 1)?);
        tool.listen(&["LINE", "PY_UNWIND"])?;
        let told = py.eval(c"KeyError('told')", None, None)?;
        let set =
            || PyErr::from_value(py.eval(c"OSError('current')", None, None).expect("it is one")).restore(py);
        let is_set = || PyErr::take(py).is_some_and(|error| error.to_string() == "OSError: current");
        set();
        // SAFETY: the thread is attached, and both objects are alive.
        let (attached, code, told) = unsafe {
            (Attached::assume(), ObjectRef::from_ptr(code.as_ptr()), ObjectRef::from_ptr(told.as_ptr()))
        };
        let (code, told) = (code.expect("not NULL"), told.expect("not NULL"));
        let entered = SCOPE.enter(attached, &code).expect("it can be entered");
        entered.py_unwind(0, &told.as_exception(attached).expect("it is one"))?;
        assert!(is_set());
        // Any other event refuses, and the exception comes back as its error.
        set();
        let raised = entered.line(0, 1).expect_err("an exception is set");
        assert_eq!(raised.to_string(), "OSError was raised");
        assert!(PyErr::take(py).is_none());
        assert!(!raised.as_ptr(attached).is_null());
        assert_eq!(tool.take()?, "[('PY_UNWIND', 0, KeyError('told'))]");
        Ok(())
    });
}

#[test]
fn only_exceptions_are_exceptions() {
    Python::attach(|py| {
        let (object, exception) = (py.None(), py.get_type::<pyo3::exceptions::PyKeyError>());
        for object in [object.as_ptr(), exception.as_ptr()] {
            // SAFETY: the thread is attached, and the object alive.
            let (attached, object) = unsafe { (Attached::assume(), ObjectRef::from_ptr(object)) };
            assert!(object.expect("not NULL").as_exception(attached).is_none());
        }
        // SAFETY: NULL is allowed.
        assert!(unsafe { ObjectRef::from_ptr(ptr::null_mut()) }.is_none());
    });
}
