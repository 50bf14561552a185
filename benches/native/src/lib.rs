//! The extension module `monitrace_bench`: an engine for a process of the benchmark, with the functions
//! behind `monitrace.h`, a native tool and the rewriter alone, which the package has no doors for. It must only do what any program could do with the
//! public crates; else it would measure something that nobody can have.

#![forbid(unsafe_code)]

use monitrace_core::{EventSet, Firing, Reply, Tool};
use monitrace_cpython::bytecode::{Analysis, CodeBytes, Plan};
use monitrace_cpython::{CPython, Raised};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyModule;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

static COUNTED: AtomicU64 = AtomicU64::new(0);

/// `CO_GENERATOR`, `CO_COROUTINE` and `CO_ASYNC_GENERATOR` of 3.11.
const ANY_GENERATOR: u32 = 0x20 | 0x80 | 0x200;

/// Makes `sys.monitoring` and returns it.
///
/// # Errors
/// As for [`monitrace_cpython::install`].
#[pyfunction]
fn install(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    monitrace_cpython::install(py)
}

/// Attaches a tool whose native callback counts the events of these names.
///
/// # Errors
/// `ValueError` for a name that no event has; else as for [`monitrace_cpython::attach`].
#[pyfunction]
fn count(py: Python<'_>, names: Vec<String>) -> PyResult<()> {
    let count = Arc::new(|_: &Firing<'_, CPython>| -> Result<Reply, Raised> {
        // Only the thread that holds the GIL is here: an atomic addition would cost more than the event.
        COUNTED.store(COUNTED.load(Relaxed) + 1, Relaxed);
        Ok(Reply::Continue)
    });
    let mut tool = Tool::new("bench");
    for event in parse(&names)?.events() {
        tool = tool.on(event, Arc::clone(&count) as _);
    }
    monitrace_cpython::attach(py, tool)?;
    Ok(())
}

/// How many events the native callback has seen.
#[pyfunction]
fn counted() -> u64 {
    COUNTED.load(Relaxed)
}

/// Rewrites a code object for these events, as switching them on does, and throws the copy away. Gives the
/// nanoseconds that it took, or None for code that is refused; reading the code object's attributes is not in them.
///
/// # Errors
/// `ValueError` for a name that no event has; whatever reading an attribute raises.
#[pyfunction]
fn rewrite(code: &Bound<'_, PyAny>, names: Vec<String>) -> PyResult<Option<u64>> {
    let events = parse(&names)?;
    let bytes = |name| -> PyResult<Vec<u8>> { code.getattr(name)?.extract() };
    let (units, exceptions, lines) = (bytes("co_code")?, bytes("co_exceptiontable")?, bytes("co_linetable")?);
    let flags: u32 = code.getattr("co_flags")?.extract()?;
    let pieces = CodeBytes {
        code: &units,
        exception_table: &exceptions,
        line_table: &lines,
        first_line: code.getattr("co_firstlineno")?.extract()?,
        stack_size: code.getattr("co_stacksize")?.extract()?,
        const_count: code.getattr("co_consts")?.len()? as u32,
        name_count: code.getattr("co_names")?.len()? as u32,
        is_generator: flags & ANY_GENERATOR != 0,
    };
    let begun = Instant::now();
    let copy = Analysis::new(&pieces).and_then(|analysis| {
        let places = analysis.places();
        let wanted = |place: usize| events.contains(places[place].event.set());
        let gates = events != EventSet::LINE;
        analysis.assemble(&Plan { wanted: &wanted, gates, stack_limit: None, landing: None })
    });
    let taken = begun.elapsed();
    Ok(copy.is_ok().then_some(taken.as_nanos() as u64))
}

fn parse(names: &[String]) -> PyResult<EventSet> {
    names.iter().try_fold(EventSet::empty(), |events, name| {
        let more: EventSet = name.parse().map_err(|error| PyValueError::new_err(format!("{error}")))?;
        Ok(events | more)
    })
}

#[pymodule]
fn monitrace_bench(module: &Bound<'_, PyModule>) -> PyResult<()> {
    monitrace_capi::publish(module)?;
    module.add_function(wrap_pyfunction!(install, module)?)?;
    module.add_function(wrap_pyfunction!(count, module)?)?;
    module.add_function(wrap_pyfunction!(counted, module)?)?;
    module.add_function(wrap_pyfunction!(rewrite, module)?)?;
    Ok(())
}
