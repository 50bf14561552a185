//! That the tests of this crate run in the interpreter that they are meant for.
//!
//! The library of an interpreter is found by the dynamic loader, which knows nothing of
//! `PYO3_PYTHON`: where the system has one of the same minor version, it would silently be loaded
//! instead, and every other test would be about the wrong Python.

use pyo3::prelude::*;
use std::ffi::CStr;
use std::process::Command;

/// What tells one installed interpreter from another: the whole of `sys.version`, and the folder of
/// the standard library (not `sys.prefix`, which differs between an interpreter and its embedding).
#[derive(Debug, PartialEq, Eq)]
struct Interpreter {
    version: String,
    stdlib: String,
}

const FACTS: &CStr =
    c"__import__('sys').version, (os := __import__('os')).path.realpath(os.path.dirname(os.__file__))";

fn embedded() -> Interpreter {
    Python::attach(|py| {
        let (version, stdlib) = py.eval(FACTS, None, None)?.extract()?;
        PyResult::Ok(Interpreter { version, stdlib })
    })
    .expect("an embedded interpreter knows its version and its standard library")
}

/// What the interpreter that the crate was built for says about itself in a process of its own.
fn built_for() -> Interpreter {
    let executable = env!("MONITRACE_BUILD_PYTHON");
    let script = format!("print(*({}), sep='\\n')", FACTS.to_str().expect("it is ASCII"));
    let run = Command::new(executable).args(["-I", "-c", &script]).output().expect("it can be run");
    assert!(run.status.success(), "{executable}: {}", String::from_utf8_lossy(&run.stderr));
    let printed = String::from_utf8(run.stdout).expect("it prints UTF-8");
    let (version, stdlib) = printed.trim_end().rsplit_once('\n').expect("it prints two lines");
    Interpreter { version: version.to_owned(), stdlib: stdlib.to_owned() }
}

#[test]
fn embedded_interpreter_is_the_one_built_for() {
    assert_eq!(
        embedded(),
        built_for(),
        "the loader found another Python: run `nox -s test`, or set LD_LIBRARY_PATH to the LIBDIR of sysconfig"
    );
}

/// nox says which interpreter it means; without it, the one that was built for is all there is.
#[test]
fn embedded_interpreter_is_the_one_asked_for() {
    let asked = |name: &str| std::env::var(name).ok();
    let (version, stdlib) = (asked("MONITRACE_TEST_PYTHON_VERSION"), asked("MONITRACE_TEST_PYTHON_STDLIB"));
    match (version, stdlib) {
        (Some(version), Some(stdlib)) => assert_eq!(embedded(), Interpreter { version, stdlib }),
        (None, None) => assert!(
            std::env::var_os("NOX_CURRENT_SESSION").is_none(),
            "nox has to say which interpreter it means"
        ),
        half => panic!("only half of the interpreter was asked for: {half:?}"),
    }
}
