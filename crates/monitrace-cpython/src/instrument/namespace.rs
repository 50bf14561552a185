//! `sys.monitoring` for 3.11: the functions and constants of the 3.14 document, over the engine, with
//! CPython 3.14's errors. It checks arguments, as CPython does, before it asks the engine.

use super::monitor;
use super::records::{CodePtr, Original, is_code};
use crate::arguments::Arguments;
use crate::callback::{Constants, PythonCallback, constants};
use crate::event_ids;
use crate::host::Raised;
use crate::producer;
use monitrace_core::{Event, EventSet, MonitorError, ToolId};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};
use std::ffi::c_int;

/// The module, made once.
pub(super) fn module(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    MODULE.get_or_try_init(py, || make(py).map(Bound::unbind)).map(|module| module.bind(py).clone())
}

fn make(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    let module = PyModule::new(py, "sys.monitoring")?;
    let names = PyDict::new(py);
    for &event in Event::ALL {
        names.set_item(event.name(), event_ids::bit(event))?;
    }
    names.set_item("BRANCH", event_ids::BRANCH)?;
    names.set_item("NO_EVENTS", 0)?;
    module.add("events", py.import("types")?.getattr("SimpleNamespace")?.call((), Some(&names))?)?;
    module.add("DEBUGGER_ID", ToolId::DEBUGGER.index())?;
    module.add("COVERAGE_ID", ToolId::COVERAGE.index())?;
    module.add("PROFILER_ID", ToolId::PROFILER.index())?;
    module.add("OPTIMIZER_ID", ToolId::OPTIMIZER.index())?;
    let Constants { disable, missing } = constants(py)?;
    module.add("DISABLE", disable)?;
    module.add("MISSING", missing)?;
    module.add_function(wrap_pyfunction!(use_tool_id, &module)?)?;
    module.add_function(wrap_pyfunction!(clear_tool_id, &module)?)?;
    module.add_function(wrap_pyfunction!(free_tool_id, &module)?)?;
    module.add_function(wrap_pyfunction!(get_tool, &module)?)?;
    module.add_function(wrap_pyfunction!(register_callback, &module)?)?;
    module.add_function(wrap_pyfunction!(get_events, &module)?)?;
    module.add_function(wrap_pyfunction!(set_events, &module)?)?;
    module.add_function(wrap_pyfunction!(get_local_events, &module)?)?;
    module.add_function(wrap_pyfunction!(set_local_events, &module)?)?;
    module.add_function(wrap_pyfunction!(restart_events, &module)?)?;
    module.add_function(wrap_pyfunction!(all_events, &module)?)?;
    // `import *` and `dir()` are to show what CPython's module shows.
    module.delattr("__all__")?;
    Ok(module)
}

/// What local events can be set on.
enum Code<'py> {
    Object(CodePtr),
    Like(Bound<'py, PyAny>),
}

/// An argument that is a code object or a code-like, which stays alive as long as the arguments.
fn code_argument<'py>(args: &Arguments<'py>, index: usize) -> PyResult<Code<'py>> {
    let object = args.object(index)?;
    if is_code(object.as_ptr()) {
        return Ok(Code::Object(object.as_ptr().cast()));
    }
    producer::check(&object)?;
    Ok(Code::Like(object))
}

fn checked<T>(result: Result<T, MonitorError>) -> PyResult<T> {
    result.map_err(|error| Raised::from(error).0)
}

/// A set of events from its bits. `BRANCH` stands for both sides and is taken apart here.
fn event_set(bits: c_int) -> Option<EventSet> {
    event_ids::set(u32::try_from(bits).ok()?)
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, name, /)")]
fn use_tool_id(args: Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let args = Arguments::check("use_tool_id", 2, args, kwargs)?;
    let tool = args.tool(0)?;
    let name = args.object(1)?;
    let name = name.cast::<PyString>().map_err(|_| PyValueError::new_err("tool name must be a str"))?;
    checked(monitor().use_tool_id(tool, &name.to_string_lossy()))
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, /)")]
fn clear_tool_id(args: Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let args = Arguments::check("clear_tool_id", 1, args, kwargs)?;
    let tool = args.tool(0)?;
    monitor().clear_tool_id(tool);
    producer::clear(tool);
    Ok(())
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, /)")]
fn free_tool_id(args: Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let args = Arguments::check("free_tool_id", 1, args, kwargs)?;
    let tool = args.tool(0)?;
    monitor().free_tool_id(tool);
    producer::clear(tool);
    Ok(())
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, /)")]
fn get_tool(args: Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Option<String>> {
    let args = Arguments::check("get_tool", 1, args, kwargs)?;
    Ok(monitor().tool(args.tool(0)?))
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, event, func, /)")]
fn register_callback(
    py: Python<'_>,
    args: Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<Option<Py<PyAny>>> {
    let args = Arguments::check("register_callback", 3, args, kwargs)?;
    let (tool, bit) = (args.number(0)?, args.number(1)?);
    let function = args.object(2)?;
    let tool = checked(ToolId::new(tool.into()))?;
    if bit <= 0 || !(bit as u32).is_power_of_two() {
        return Err(PyValueError::new_err("The callback can only be set for one event at a time"));
    }
    let Some(set) = event_set(bit) else {
        return Err(PyValueError::new_err(format!("invalid event {bit}")));
    };
    py.import("sys")?.call_method1("audit", ("sys.monitoring.register_callback", &function))?;
    let is_branch = set == EventSet::BRANCH;
    let mut before = None;
    for event in set.events() {
        let callback =
            (!function.is_none()).then(|| PythonCallback::shared(&function, is_branch)).transpose()?;
        let replaced = monitor().register_callback(tool, event, callback);
        // BRANCH sets both sides and gives one of them back.
        before = before
            .or_else(|| replaced.as_deref().and_then(|callback| PythonCallback::function(py, callback)));
    }
    Ok(before)
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, /)")]
fn get_events(args: Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<u32> {
    let args = Arguments::check("get_events", 1, args, kwargs)?;
    Ok(event_ids::bits(monitor().events(args.tool(0)?)))
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, event_set, /)")]
fn set_events(args: Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let args = Arguments::check("set_events", 2, args, kwargs)?;
    let (tool, bits) = (args.number(0)?, args.number(1)?);
    let tool = checked(ToolId::new(tool.into()))?;
    let Some(events) = event_set(bits) else {
        return Err(PyValueError::new_err(format!("invalid event set 0x{bits:x}")));
    };
    checked(monitor().set_events(tool, events))
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, code, /)")]
fn get_local_events(args: Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<u32> {
    let args = Arguments::check("get_local_events", 2, args, kwargs)?;
    let tool = args.number(0)?;
    let code = code_argument(&args, 1)?;
    let tool = checked(ToolId::new(tool.into()))?;
    Ok(event_ids::bits(match code {
        Code::Object(code) => {
            Original::known(code).map_or(EventSet::empty(), |known| monitor().local_events(tool, known.id()))
        }
        Code::Like(object) => producer::local_events(&object, tool),
    }))
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, code, event_set, /)")]
fn set_local_events(
    py: Python<'_>,
    args: Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    const ANCILLARY: EventSet = EventSet::C_RETURN.union(EventSet::C_RAISE);
    let args = Arguments::check("set_local_events", 3, args, kwargs)?;
    let (tool, bits) = (args.number(0)?, args.number(2)?);
    let code = code_argument(&args, 1)?;
    let tool = checked(ToolId::new(tool.into()))?;
    let events = match event_set(bits) {
        Some(events) if (events - ANCILLARY - EventSet::LOCAL).is_empty() => events,
        _ => {
            // CPython takes the ancillary bits and BRANCH out before it looks at the rest.
            let rest = bits & !((event_ids::bits(ANCILLARY) | event_ids::BRANCH) as c_int);
            return Err(PyValueError::new_err(format!("invalid local event set 0x{rest:x}")));
        }
    };
    match code {
        Code::Object(code) => {
            let original = Original::of(py, code)?;
            checked(monitor().set_local_events(tool, original.id(), events))
        }
        Code::Like(object) => {
            let events = checked(monitor().check_local_events(tool, events))?;
            producer::set_local_events(&object, tool, events)
        }
    }
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, /)")]
fn restart_events(args: Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    Arguments::check("restart_events", 0, args, kwargs)?;
    monitor().restart_events();
    Ok(())
}

#[pyfunction]
#[pyo3(name = "_all_events", signature = (*args, **kwargs), text_signature = "($module, /)")]
fn all_events<'py>(
    py: Python<'py>,
    args: Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyDict>> {
    Arguments::check("_all_events", 0, args, kwargs)?;
    let tools = PyDict::new(py);
    for &event in Event::ALL {
        let set = ToolId::all()
            .filter(|&tool| monitor().events(tool).contains(event.set()))
            .fold(0, |set, tool| set | 1 << tool.index());
        if set != 0 {
            tools.set_item(event.name(), set)?;
        }
    }
    Ok(tools)
}
