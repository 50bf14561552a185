//! The layout of the table and the event ids, against what the C compiler makes of `monitrace.h`.

use monitrace::event::ALL;
use monitrace::table::{Api, CAPSULE, State, VERSION, WAITING, Words};
use pyo3::prelude::*;
use std::mem::offset_of;
use std::path::Path;
use std::process::{Command, Output};

/// What the compiler says of a program that includes the header. Nothing is linked.
fn compile(name: &str, assertions: &str) -> Output {
    let include: String =
        Python::attach(|py| py.import("sysconfig")?.call_method1("get_path", ("include",))?.extract())
            .expect("sysconfig knows the headers' folder");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/monitrace/include");
    let file = std::env::temp_dir().join(format!("monitrace-{name}-{}.c", std::process::id()));
    let program = format!("#include <monitrace.h>\n#include <stddef.h>\n{assertions}");
    std::fs::write(&file, program).expect("the temporary folder can be written");
    let compiled = Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".to_owned()))
        .args(["-std=c11", "-fsyntax-only"])
        .arg(format!("-I{}", ours.display()))
        .arg(format!("-I{include}"))
        .arg(&file)
        .output()
        .expect("there is a C compiler");
    std::fs::remove_file(&file).expect("the temporary folder can be written");
    compiled
}

fn assertion(left: &str, right: usize) -> String {
    format!("_Static_assert({left} == {right}, \"{left} is {right} in Rust\");\n")
}

macro_rules! fields {
    ($rust:ty, $c:literal: $($field:ident)*) => {
        [$((concat!("offsetof(", $c, ", ", stringify!($field), ")"), offset_of!($rust, $field))),*]
    };
}

#[test]
fn rust_and_c_mean_the_same() {
    let mut program = String::new();
    let api = fields!(Api, "Monitrace_Api":
        version size words enter_scope exit_scope fire_py_start fire_py_resume fire_py_return fire_py_yield
        fire_call fire_line fire_jump fire_branch fire_branch_left fire_branch_right fire_c_return fire_py_throw
        fire_raise fire_c_raise fire_reraise fire_exception_handled fire_py_unwind fire_stop_iteration);
    let words = fields!(Words, "Monitrace_Words": configuration generation direct);
    let sizes = [
        ("sizeof(Monitrace_Api)", size_of::<Api>()),
        ("sizeof(Monitrace_Words)", size_of::<Words>()),
        ("sizeof(PyMonitoringState)", size_of::<State>()),
        ("offsetof(PyMonitoringState, active)", 0),
        ("MONITRACE_API_VERSION", VERSION as usize),
    ];
    for (left, right) in api.into_iter().chain(words).chain(sizes) {
        program += &assertion(left, right);
    }
    for &(name, id) in ALL {
        program += &assertion(&format!("PY_MONITORING_EVENT_{name}"), id.into());
    }
    let compiled = compile("header", &program);
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}

#[test]
fn difference_is_noticed() {
    let compiled = compile("difference", &assertion("offsetof(Monitrace_Api, words)", 1));
    let told = String::from_utf8_lossy(&compiled.stderr);
    assert!(
        !compiled.status.success() && told.contains("offsetof(Monitrace_Api, words) is 1 in Rust"),
        "{told}"
    );
}

#[test]
fn names_are_those_of_the_header() {
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/monitrace/include/monitrace.h");
    let header = std::fs::read_to_string(header).expect("the header can be read");
    for name in [CAPSULE, WAITING] {
        assert!(header.contains(&format!("{:?}", name.to_str().expect("it is text"))), "{name:?}");
    }
}
