//! The extension module `monitrace._native`: joins the crates below into what the Python package
//! needs. It converts arguments and errors, and must never decide anything.

#![forbid(unsafe_code)]

use monitrace_core::{Event, EventSet, Tool};
use monitrace_cpython::producer::CodeLike;
use monitrace_cpython::{CPython, ToolHandle};
use monitrace_tools::trace::{Format, Trace, TraceOptions};
use monitrace_tools::{Count, Files};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyModule;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What detaches a tool, while it is attached.
type Handle = Mutex<Option<ToolHandle>>;

/// The trace tool over this interpreter.
#[pyclass(name = "Trace", frozen, module = "monitrace._native")]
struct PyTrace {
    trace: Trace,
    handle: Handle,
}

#[pymethods]
impl PyTrace {
    #[new]
    #[pyo3(signature = (
        events, *, format = "text", output = None, include = Vec::new(), exclude = Vec::new(),
        libraries = Vec::new(), hidden = Vec::new(), directory = "", colour = false, immediate = false,
    ))]
    // One for each option of the command line.
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        events: Vec<String>,
        format: &str,
        output: Option<PathBuf>,
        include: Vec<String>,
        exclude: Vec<String>,
        libraries: Vec<String>,
        hidden: Vec<String>,
        directory: &str,
        colour: bool,
        immediate: bool,
    ) -> PyResult<PyTrace> {
        let invalid = |error: &dyn std::error::Error| PyValueError::new_err(error.to_string());
        let options = TraceOptions {
            events: event_set(&events)?,
            format: format.parse::<Format>().map_err(|error| invalid(&error))?,
            files: Files::new(&include, &exclude, libraries, hidden, directory)
                .map_err(|error| invalid(&error))?,
            colour,
            immediate,
        };
        let out = open(output.as_deref()).map_err(|error| os_error(py, error, output.as_deref()))?;
        Ok(PyTrace { trace: Trace::new(options, out), handle: Mutex::default() })
    }

    fn start(&self, py: Python<'_>) -> PyResult<()> {
        start(py, &self.handle, "trace", || self.trace.tool(CPython))
    }

    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        stop(py, &self.handle)
    }

    fn flush(&self) {
        self.trace.flush();
    }

    fn abandon(&self) {
        self.trace.abandon();
    }

    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        self.stop(py)?;
        self.trace.finish().map_err(|error| os_error(py, error, None))
    }

    #[getter]
    fn failed(&self) -> bool {
        self.trace.has_failed()
    }
}

/// The count tool over this interpreter.
#[pyclass(name = "Count", frozen, module = "monitrace._native")]
struct PyCount {
    count: Count,
    handle: Handle,
}

#[pymethods]
impl PyCount {
    #[new]
    fn new(events: Vec<String>) -> PyResult<PyCount> {
        Ok(PyCount { count: Count::new(event_set(&events)?), handle: Mutex::default() })
    }

    fn start(&self, py: Python<'_>) -> PyResult<()> {
        start(py, &self.handle, "count", || self.count.tool())
    }

    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        stop(py, &self.handle)
    }

    fn counts(&self) -> HashMap<&'static str, u64> {
        self.count.counts().map(|(event, count)| (event.name(), count)).collect()
    }
}

/// The events of these names.
fn event_set(names: &[String]) -> PyResult<EventSet> {
    names
        .iter()
        .map(|name| name.parse::<EventSet>())
        .try_fold(EventSet::empty(), |all, set| Ok(all | set?))
        .map_err(|error: monitrace_core::UnknownEvent| PyValueError::new_err(error.to_string()))
}

fn lock(handle: &Handle) -> MutexGuard<'_, Option<ToolHandle>> {
    handle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Attaches the tool that is called so.
fn start(py: Python<'_>, handle: &Handle, name: &str, tool: impl FnOnce() -> Tool<CPython>) -> PyResult<()> {
    if lock(handle).is_some() {
        return Err(PyRuntimeError::new_err(format!("the {name} has been started already")));
    }
    let attached = monitrace_cpython::attach(py, tool())?;
    *lock(handle) = Some(attached);
    Ok(())
}

/// Detaches the tool, if it is attached.
fn stop(py: Python<'_>, handle: &Handle) -> PyResult<()> {
    let attached = lock(handle).take();
    attached.map_or(Ok(()), |attached| attached.detach(py))
}

/// The file, or a copy of standard error that stays when the program closes its own.
fn open(path: Option<&Path>) -> io::Result<Box<dyn Write + Send>> {
    match path {
        Some(path) => Ok(Box::new(File::create(path)?)),
        None => standard_error(),
    }
}

/// As Python's own: with the number, which chooses the class, the words and the file's name.
fn os_error(py: Python<'_>, error: io::Error, path: Option<&Path>) -> PyErr {
    let Some(number) = error.raw_os_error() else {
        return error.into();
    };
    let words = py.import("os").and_then(|os| os.call_method1("strerror", (number,)));
    match words {
        Ok(words) => PyOSError::new_err((number, words.unbind(), path.map(Path::to_path_buf))),
        Err(error) => error,
    }
}

#[cfg(unix)]
fn standard_error() -> io::Result<Box<dyn Write + Send>> {
    use std::os::fd::AsFd;
    Ok(Box::new(File::from(io::stderr().as_fd().try_clone_to_owned()?)))
}

#[cfg(not(unix))]
fn standard_error() -> io::Result<Box<dyn Write + Send>> {
    Ok(Box::new(io::stderr()))
}

/// See `monitrace.install`.
#[pyfunction]
fn install(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    monitrace_cpython::install(py)
}

/// See `monitrace.uninstall`.
#[pyfunction]
fn uninstall(py: Python<'_>) -> PyResult<()> {
    monitrace_cpython::uninstall(py)
}

/// What `monitrace.monitoring` is.
#[pyfunction]
fn monitoring(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    monitrace_cpython::monitoring(py)
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    let names: Vec<&str> = Event::ALL.iter().map(|event| event.name()).collect();
    module.add("EVENTS", pyo3::types::PyTuple::new(module.py(), names)?)?;
    monitrace_capi::publish(module)?;
    module.add_class::<CodeLike>()?;
    module.add_class::<PyTrace>()?;
    module.add_class::<PyCount>()?;
    module.add_function(wrap_pyfunction!(install, module)?)?;
    module.add_function(wrap_pyfunction!(uninstall, module)?)?;
    module.add_function(wrap_pyfunction!(monitoring, module)?)?;
    Ok(())
}
