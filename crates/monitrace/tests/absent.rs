//! A process in which the package is not installed, and is later: one test, since what is found is kept for
//! the process.

#![forbid(unsafe_code)]

mod common;

use common::{Tool, code_like};
use monitrace::Scope;
use monitrace::event::{BranchLeft, CRaise, CReturn, Call, Line, PyStart, Raise, StopIteration};
use pyo3::exceptions::{PyKeyError, PyModuleNotFoundError};
use pyo3::ffi::c_str;
use pyo3::prelude::*;

/// From 3.13 on the interpreter's own functions serve scopes without the package.
const NATIVE: bool = cfg!(Py_3_13);

/// Counts how often the package is looked for, and says that it is not there.
const HIDE: &std::ffi::CStr = c_str!(
    "
import sys
class Finder:
    asked = 0
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'monitrace':
            self.asked += 1
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
finder = Finder()
sys.meta_path.insert(0, finder)
"
);

#[test]
fn scopes_are_inactive_or_native_until_the_package_comes() {
    let done = Python::attach(|py| -> PyResult<()> {
        let hidden = PyModule::from_code(py, HIDE, c_str!("hide.py"), c_str!("hide"))?;
        let asked = || hidden.getattr("finder")?.getattr("asked")?.extract::<u32>();
        let code = code_like(py)?;
        let tool = if NATIVE { Some(Tool::new(py, 2)?) } else { None };
        let events = ["PY_START", "LINE", "CALL", "RAISE", "STOP_ITERATION", "BRANCH_LEFT"];
        if let Some(tool) = &tool {
            tool.listen(&events)?;
        }

        // All ids that the interpreter's own function would not know are in it.
        let scope = Scope::<(CRaise, CReturn, BranchLeft, PyStart, Line, Call, Raise, StopIteration)>::new();
        let error = PyKeyError::new_err("key");
        for _ in 0..3 {
            let entered = scope.enter(py, &code)?;
            assert_eq!(entered.is_active(PyStart), NATIVE);
            assert_eq!(entered.is_active(CReturn), NATIVE, "it is told to those who want calls");
            entered.py_start(0)?;
            entered.line(0, 7)?;
            entered.call(0, &code, None)?;
            entered.c_return(0, &code)?;
            entered.c_raise(0, &error)?;
            entered.raise(0, &error)?;
            entered.stop_iteration(0, None)?;
            entered.branch_left(0, 4)?;
            entered.refresh()?;
        }
        assert_eq!(asked()?, 1, "that it is not there is remembered");
        assert!(PyErr::take(py).is_none());
        if let Some(tool) = tool {
            let told = tool.told()?;
            assert_eq!(told.len(), 3 * events.len());
            let missing = py.import("sys")?.getattr("monitoring")?.getattr("MISSING")?;
            assert!(told.get_item(2)?.get_item(3)?.is(&missing));
            assert_eq!(told.get_item(4)?.str()?.to_string(), "('STOP_ITERATION', 0, StopIteration())");
        }

        // Who wants to know is told why, and nothing changes by it.
        let why = PyErr::from(monitrace::import(py).expect_err("it is not installed"));
        assert!(why.is_instance_of::<PyModuleNotFoundError>(py), "{why}");
        assert_eq!(asked()?, 2);
        scope.enter(py, &code)?.py_start(0)?;
        let again = asked()?;

        // It comes, and tells those who wait. What the interpreter has filled is the package's from now on:
        // only that knows which call has ended.
        if NATIVE {
            let tool = Tool::new(py, 2)?;
            tool.listen(&["C_RETURN"])?;
            scope.enter(py, &code)?.c_return(0, &py.None())?;
            assert_eq!(tool.take()?, "[('C_RETURN', 0, None)]");
            common::publish(py)?;
            let entered = scope.enter(py, &code)?;
            entered.call(0, &py.import("builtins")?.getattr("len")?, Some(&py.None()))?;
            entered.c_return(0, &code)?;
            assert_eq!(tool.take()?, "[('C_RETURN', 0, <built-in function len>, None)]");
        } else {
            common::publish(py)?;
        }
        common::install(py)?;
        let tool = Tool::new(py, 2)?;
        tool.listen(&["PY_START"])?;
        let entered = scope.enter(py, &code)?;
        entered.py_start(5)?;
        assert_eq!(tool.take()?, "[('PY_START', 5)]");
        // Events of one code-like are the package's alone: it is its table that is used.
        tool.0.call_method0("set_events")?;
        let monitoring = py.import("sys")?.getattr("monitoring")?;
        let start = monitoring.getattr("events")?.getattr("PY_START")?;
        let other = code_like(py)?;
        monitoring.call_method1("set_local_events", (2, &other, start))?;
        for code in [&code, &other] {
            scope.enter(py, code)?.py_start(6)?;
        }
        assert_eq!(tool.take()?, "[('PY_START', 6)]");
        monitrace::import(py)?;
        assert_eq!(asked()?, again);
        Ok(())
    });
    if let Err(error) = done {
        Python::attach(|py| error.print(py));
        panic!("the test raised");
    }
}
