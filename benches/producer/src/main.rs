//! `monitrace-bench-producer CASE N` runs one loop N times and prints its nanoseconds. `loops.py` runs it,
//! also under callgrind. It must only do what any extension module could do with the crate `monitrace`.
//!
//! The loops are functions of their own, by whose names (`measured_*`) callgrind is told where to
//! count. All states of an event go through the same one.

#![forbid(unsafe_code)]

use monitrace::event::Line;
use monitrace::{Entered, Scope};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule};
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Instant;

/// The package, a tool that listens to LINE as the case says, and a code-like.
const PYTHON: &std::ffi::CStr = cr#"
import operator, sys

class CodeLike:
    co_name = co_qualname = "work"
    co_filename = "shop.tmpl"
    co_firstlineno = 1

def disable(*_):
    return m.DISABLE

m = sys.monitoring
line = m.events.LINE
m.use_tool_id(2, "bench")
m.register_callback(2, line, {"disabled": disable, "callback": operator.is_}.get(case))
m.set_events(2, m.events.PY_START if case in ("inactive", "entered") else line)
code = CodeLike()
"#;

#[inline(never)]
fn measured_empty(n: u64) {
    for i in 0..n {
        black_box(i);
    }
}

/// What an event that nobody wants is to cost.
#[inline(never)]
fn measured_byte(byte: &AtomicU8, n: u64) {
    for i in 0..n {
        black_box(i);
        if byte.load(Relaxed) != 0 {
            rare();
        }
    }
}

#[cold]
#[inline(never)]
fn rare() {
    black_box(());
}

/// An event in a loop of a function that entered its scope before.
#[inline(never)]
fn measured_events(entered: &Entered<'_, '_, (Line,)>, n: u64) -> PyResult<()> {
    for i in 0..n {
        black_box(i);
        entered.line(0, i as u32)?;
    }
    Ok(())
}

/// The same where each event is in a scope of its own.
#[inline(never)]
fn measured_entered(py: Python<'_>, scope: &Scope<(Line,)>, code: &Bound<'_, PyAny>, n: u64) -> PyResult<()> {
    for i in 0..n {
        black_box(i);
        scope.enter(py, code)?.line(0, i as u32)?;
    }
    Ok(())
}

fn timed(run: impl FnOnce() -> PyResult<()>) -> PyResult<u128> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed().as_nanos())
}

/// The nanoseconds of `n` rounds.
fn measure(py: Python<'_>, case: &str, n: u64) -> PyResult<u128> {
    match case {
        "empty" => {
            return timed(|| {
                measured_empty(n);
                Ok(())
            });
        }
        "byte" => {
            return timed(|| {
                measured_byte(&AtomicU8::new(black_box(0)), n);
                Ok(())
            });
        }
        _ => {}
    }
    let modules = py.import("sys")?.getattr("modules")?;
    let native = PyModule::new(py, "monitrace._native")?;
    monitrace_capi::publish(&native)?;
    modules.set_item("monitrace", PyModule::new(py, "monitrace")?)?;
    modules.set_item("monitrace._native", native)?;
    monitrace_cpython::install(py)?;
    let names = PyDict::new(py);
    names.set_item("case", case)?;
    py.run(PYTHON, Some(&names), None)?;
    let code = names.get_item("code")?.expect("it was made");
    let scope = Scope::new();
    let entered = scope.enter(py, &code)?;
    // The first visit, which is the last one of what is disabled, is not measured.
    measured_events(&entered, 1)?;
    let time = match case {
        "entered" => timed(|| measured_entered(py, &scope, &code, n))?,
        _ => timed(|| measured_events(&entered, n))?,
    };
    // A time is believed only if somebody listens, or nobody does, as it should be.
    assert_eq!(entered.is_active(Line), case == "callback", "{case}");
    Ok(time)
}

const CASES: [&str; 6] = ["empty", "byte", "inactive", "disabled", "entered", "callback"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (case, n) = match arguments.as_slice() {
        [case, n] if CASES.contains(&case.as_str()) => (case, n.parse()),
        _ => {
            eprintln!("usage: monitrace-bench-producer {} N", CASES.join("|"));
            return ExitCode::from(2);
        }
    };
    let Ok(n) = n else {
        eprintln!("N is a number");
        return ExitCode::from(2);
    };
    match Python::attach(|py| measure(py, case, n).map_err(|error| error.print(py))) {
        Ok(time) => {
            println!("{time}");
            ExitCode::SUCCESS
        }
        Err(()) => ExitCode::FAILURE,
    }
}
