//! The extension module `monitrace_bench`: an engine for a process of the benchmark, with the functions
//! behind `monitrace.h`, and a native tool, which the package has no door for. It must only do what any program could do with the
//! public crates; else it would measure something that nobody can have.

#![forbid(unsafe_code)]

use monitrace_core::{Event, Firing, Reply, Tool};
use monitrace_cpython::{CPython, Raised};
use pyo3::prelude::*;
use pyo3::types::PyModule;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static LINES: AtomicU64 = AtomicU64::new(0);

/// Makes `sys.monitoring` and returns it.
///
/// # Errors
/// As for [`monitrace_cpython::install`].
#[pyfunction]
fn install(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    monitrace_cpython::install(py)
}

/// Attaches a tool whose native callback counts the LINE events.
///
/// # Errors
/// As for [`monitrace_cpython::attach`].
#[pyfunction]
fn count_lines(py: Python<'_>) -> PyResult<()> {
    let count = |_: &Firing<'_, CPython>| -> Result<Reply, Raised> {
        // Only the thread that holds the GIL is here: an atomic addition would cost more than the event.
        LINES.store(LINES.load(Relaxed) + 1, Relaxed);
        Ok(Reply::Continue)
    };
    monitrace_cpython::attach(py, Tool::new("lines").on(Event::Line, Arc::new(count)))?;
    Ok(())
}

/// How many LINE events the native callback has seen.
#[pyfunction]
fn lines() -> u64 {
    LINES.load(Relaxed)
}

#[pymodule]
fn monitrace_bench(module: &Bound<'_, PyModule>) -> PyResult<()> {
    monitrace_capi::publish(module)?;
    module.add_function(wrap_pyfunction!(install, module)?)?;
    module.add_function(wrap_pyfunction!(count_lines, module)?)?;
    module.add_function(wrap_pyfunction!(lines, module)?)?;
    Ok(())
}
