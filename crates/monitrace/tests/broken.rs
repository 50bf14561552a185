//! A process in which the package is there and cannot be used, and later can: one test, since what is found
//! is kept for the process.

#![forbid(unsafe_code)]

mod common;

use common::{Tool, code_like, modules};
use monitrace::Scope;
use monitrace::event::Line;
use monitrace::table::CAPSULE;
use pyo3::exceptions::{PyAttributeError, PyImportError, PyKeyError, PyRuntimeError};
use pyo3::ffi::c_str;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyModule};

/// What every version of the table begins with.
#[repr(C, align(8))]
struct Head {
    version: u32,
    size: u32,
}

/// The import raises what `error` is.
const BREAK: &std::ffi::CStr = c_str!(
    "
import sys
class Finder:
    error = RuntimeError('broken')
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'monitrace':
            raise self.error
finder = Finder()
sys.meta_path.insert(0, finder)
"
);

#[test]
fn package_that_cannot_be_used_is_an_error_until_it_can() {
    let done = Python::attach(|py| -> PyResult<()> {
        PyModule::from_code(py, BREAK, c_str!("break.py"), c_str!("break"))?;
        let code = code_like(py)?;
        let scope = Scope::<(Line,)>::new();
        // Each time anew.
        for _ in 0..2 {
            let error = PyErr::from(scope.enter(py, &code).expect_err("it is broken"));
            assert!(error.is_instance_of::<PyRuntimeError>(py), "{error}");
            assert!(PyErr::take(py).is_none());
        }
        // What is current before stays so.
        PyKeyError::new_err("current").restore(py);
        let error = scope.enter(py, &code).expect_err("it is broken");
        assert_eq!(error.to_string(), "RuntimeError was raised");
        assert!(PyErr::take(py).is_some_and(|current| current.is_instance_of::<PyKeyError>(py)));

        // A package without a table, and one of another version.
        let native = PyModule::new(py, "monitrace._native")?;
        modules(py)?.set_item("monitrace", PyModule::new(py, "monitrace")?)?;
        modules(py)?.set_item("monitrace._native", &native)?;
        let error = PyErr::from(scope.enter(py, &code).expect_err("it has no table"));
        assert!(error.is_instance_of::<PyAttributeError>(py), "{error}");
        for (version, size) in [(2_u32, 1 << 20), (1, 8)] {
            let capsule = PyCapsule::new_with_value(py, Head { version, size }, CAPSULE)?;
            native.setattr("_C_API", capsule)?;
            let error = PyErr::from(monitrace::import(py).expect_err("it does not fit"));
            assert!(error.is_instance_of::<PyImportError>(py), "{error}");
            assert!(error.to_string().contains("does not serve"), "{error}");
            assert!(scope.enter(py, &code).is_err());
        }

        common::publish(py)?;
        common::install(py)?;
        let tool = Tool::new(py, 2)?;
        tool.listen(&["LINE"])?;
        scope.enter(py, &code)?.line(0, 1)?;
        assert_eq!(tool.take()?, "[('LINE', 1)]");
        Ok(())
    });
    if let Err(error) = done {
        Python::attach(|py| error.print(py));
        panic!("the test raised");
    }
}
