//! A process in which the first scope is entered in another interpreter than the main one: one test, since
//! what is found is kept for the process.

mod common;

use common::{Tool, code_like, with_package};
use monitrace::event::Line;
use monitrace::{Attached, ObjectRef, Scope};
use pyo3::ffi;

static SCOPE: Scope<(Line,)> = Scope::new();

#[test]
fn package_is_the_main_interpreters_alone() {
    with_package(|py| {
        let tool = Tool::new(py, 2)?;
        tool.listen(&["LINE"])?;
        // SAFETY: the thread is attached to the main interpreter, then to the other one, in which only what
        // is raw is used, and to the main one again. `None` lives for ever.
        unsafe {
            let main = ffi::PyThreadState_Get();
            let other = ffi::Py_NewInterpreter();
            assert!(!other.is_null());
            let attached = Attached::assume();
            let code = ObjectRef::from_ptr(ffi::Py_None()).expect("not NULL");
            let entered = SCOPE.enter(attached, &code).expect("there is nothing that could fail");
            assert!(!entered.is_active(Line));
            entered.line(0, 1).expect("nobody is told");
            drop(entered);
            let imported = ffi::PyImport_GetModuleDict();
            assert!(ffi::PyDict_GetItemString(imported, c"monitrace._native".as_ptr()).is_null());
            assert!(ffi::PyErr_Occurred().is_null());
            ffi::Py_EndInterpreter(other);
            ffi::PyThreadState_Swap(main);
        }
        SCOPE.enter(py, &code_like(py)?)?.line(0, 2)?;
        assert_eq!(tool.take()?, "[('LINE', 2)]");
        Ok(())
    });
}
