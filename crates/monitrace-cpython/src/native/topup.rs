//! 3.12 and 3.13: the functions of `sys.monitoring` that 3.14 has otherwise, over the interpreter's own:
//! the sides of branches are told apart, and a tool can be cleared and is when it is freed. Errors are
//! 3.14's. Code objects get their `co_branches` with them.
//!
//! It checks arguments and raises the audit event. What the interpreter can keep by itself must not be
//! kept here.

#![forbid(unsafe_code)]

use super::branches::{self, SideCallback};
use super::{own, sides};
use crate::arguments::Arguments;
use crate::co_branches;
use crate::{event_ids, producer};
use monitrace_core::{Event, EventSet, ToolId};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCode, PyDict, PyModule, PyTuple};
use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The functions that [`install`] puts in place, but for `restart_events`.
const NAMES: [&str; 6] =
    ["register_callback", "get_events", "set_events", "clear_tool_id", "free_tool_id", "_all_events"];

pub(super) fn install(monitoring: &Bound<'_, PyModule>) -> PyResult<()> {
    let functions = [
        wrap_pyfunction!(register_callback, monitoring)?,
        wrap_pyfunction!(get_events, monitoring)?,
        wrap_pyfunction!(set_events, monitoring)?,
        wrap_pyfunction!(clear_tool_id, monitoring)?,
        wrap_pyfunction!(free_tool_id, monitoring)?,
        wrap_pyfunction!(all_events, monitoring)?,
    ];
    watch_restarts(monitoring)?;
    co_branches::install(monitoring.py())?;
    for (name, function) in NAMES.into_iter().zip(functions) {
        own::replace(monitoring, name, function.as_any())?;
    }
    let events = monitoring.getattr("events")?;
    for event in EventSet::BRANCH.events() {
        events.setattr(event.name(), event_ids::bit(event))?;
    }
    Ok(())
}

pub(super) fn uninstall(monitoring: &Bound<'_, PyModule>) -> PyResult<()> {
    for name in NAMES {
        own::restore(monitoring, name)?;
    }
    let events = monitoring.getattr("events")?;
    for event in EventSet::BRANCH.events() {
        events.delattr(event.name())?;
    }
    co_branches::uninstall(monitoring.py())?;
    leave_restarts(monitoring)
}

/// Refuses to take away what tools use.
///
/// # Errors
/// `RuntimeError` naming those that have named a side of branches.
pub(super) fn check_unused(py: Python<'_>) -> PyResult<()> {
    let mut users = Vec::new();
    for tool in ToolId::all().filter(|&tool| sides::names_sides(tool) || branches::is_joined(py, tool)) {
        let name = own::call(py, intern!(py, "get_tool"), (tool.index(),))?;
        users.push(format!("{tool} ({name})"));
    }
    if users.is_empty() {
        return Ok(());
    }
    let users = users.join(", ");
    Err(PyRuntimeError::new_err(format!("cannot uninstall while tools are in use: {users}")))
}

/// How many have to know of restarts: `install`, and native tools that listen to sides.
static WATCHERS: AtomicUsize = AtomicUsize::new(0);

/// Puts our `restart_events` in place, which needs to be known where one side of a branch is disabled.
pub(super) fn watch_restarts(monitoring: &Bound<'_, PyModule>) -> PyResult<()> {
    if WATCHERS.fetch_add(1, Relaxed) == 0 {
        own::replace(monitoring, "restart_events", wrap_pyfunction!(restart_events, monitoring)?.as_any())?;
    }
    Ok(())
}

/// Puts the interpreter's own back, if nobody else needs ours.
pub(super) fn leave_restarts(monitoring: &Bound<'_, PyModule>) -> PyResult<()> {
    if WATCHERS.fetch_sub(1, Relaxed) == 1 {
        own::restore(monitoring, "restart_events")?;
    }
    Ok(())
}

/// The events of bits, `None` if one stands for none.
fn event_set(bits: c_int) -> Option<EventSet> {
    event_ids::set(u32::try_from(bits).ok()?)
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, event, func, /)")]
fn register_callback(
    py: Python<'_>,
    args: Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<Option<Py<PyAny>>> {
    let args = Arguments::check("register_callback", 3, args, kwargs)?;
    let (number, bit, callable) = (args.number(0)?, args.number(1)?, args.object(2)?);
    let side = Event::ALL
        .iter()
        .copied()
        .find(|&event| EventSet::BRANCH.contains(event.set()) && bit == event_ids::bit(event) as c_int);
    if side.is_none() && bit != event_ids::BRANCH as c_int {
        let before = own::call(py, intern!(py, "register_callback"), (number, bit, callable))?;
        return Ok(if before.is_none() { None } else { Some(before.unbind()) });
    }
    let tool = args.tool(0)?;
    let callable = (!callable.is_none()).then(|| callable.clone().unbind());
    let before = match side {
        None => branches::register_both(py, tool, callable)?,
        Some(side) => {
            audit(py, callable.as_ref())?;
            branches::register(py, tool, side, callable.map(SideCallback::Python))?
        }
    };
    Ok(before.and_then(SideCallback::into_python))
}

/// Says what is going to be registered, where the interpreter would say that it is a callable of ours.
fn audit(py: Python<'_>, callable: Option<&Py<PyAny>>) -> PyResult<()> {
    py.import("sys")?.call_method1("audit", ("sys.monitoring.register_callback", callable)).map(drop)
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, /)")]
fn get_events(py: Python<'_>, args: Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<u32> {
    let args = Arguments::check("get_events", 1, args, kwargs)?;
    sides::events(py, args.tool(0)?)
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, event_set, /)")]
fn set_events(py: Python<'_>, args: Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let args = Arguments::check("set_events", 2, args, kwargs)?;
    let (number, bits) = (args.number(0)?, args.number(1)?);
    let tool = args.tool(0)?;
    if event_set(bits).is_none() {
        // The interpreter says so.
        return own::call(py, intern!(py, "set_events"), (number, bits)).map(drop);
    }
    sides::set_events(py, tool, bits as u32)
}

/// Local events of code objects, and of what is none.
pub(super) mod of_code {
    use super::*;

    pub(in crate::native) fn set_local_events(
        py: Python<'_>,
        args: Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let args = Arguments::check("set_local_events", 3, args, kwargs)?;
        let (number, code, bits) = (args.number(0)?, args.object(1)?, args.number(2)?);
        let local = EventSet::LOCAL | EventSet::C_RETURN | EventSet::C_RAISE;
        match (ToolId::new(number.into()), event_set(bits)) {
            (Ok(tool), Some(events)) if local.contains(events) && code.is_instance_of::<PyCode>() => {
                sides::set_local_events(py, tool, &code, bits as u32)
            }
            // The interpreter says what is wrong.
            _ => own::call(py, intern!(py, "set_local_events"), (number, code, bits)).map(drop),
        }
    }

    pub(in crate::native) fn get_local_events(
        py: Python<'_>,
        args: Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<u32> {
        let args = Arguments::check("get_local_events", 2, args, kwargs)?;
        let (number, code) = (args.number(0)?, args.object(1)?);
        match ToolId::new(number.into()) {
            Ok(tool) => sides::local_events(py, tool, &code),
            Err(_) => own::call(py, intern!(py, "get_local_events"), (number, code))?.extract(),
        }
    }
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, /)")]
fn clear_tool_id(
    py: Python<'_>,
    args: Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    let args = Arguments::check("clear_tool_id", 1, args, kwargs)?;
    clear(py, args.tool(0)?)
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, /)")]
fn free_tool_id(
    py: Python<'_>,
    args: Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    let args = Arguments::check("free_tool_id", 1, args, kwargs)?;
    free(py, args.tool(0)?)
}

/// Takes a tool's callbacks and events away, if it is in use.
fn clear(py: Python<'_>, tool: ToolId) -> PyResult<()> {
    if own::call(py, intern!(py, "get_tool"), (tool.index(),))?.is_none() {
        return Ok(());
    }
    for id in (0..event_ids::COUNT).filter(|&id| id != usize::from(event_ids::BRANCH_ID)) {
        own::call(py, intern!(py, "register_callback"), (tool.index(), 1 << id, py.None()))?;
    }
    branches::register_both(py, tool, None)?;
    own::call(py, intern!(py, "set_events"), (tool.index(), 0))?;
    sides::clear(py, tool)?;
    producer::clear(tool);
    Ok(())
}

/// Gives a tool id back, cleared.
///
/// # Errors
/// Whatever an audit hook raises: callbacks are taken away one by one.
pub(super) fn free(py: Python<'_>, tool: ToolId) -> PyResult<()> {
    clear(py, tool)?;
    own::call(py, intern!(py, "free_tool_id"), (tool.index(),)).map(drop)
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, /)")]
fn restart_events(
    py: Python<'_>,
    args: Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    Arguments::check("restart_events", 0, args, kwargs)?;
    sides::restart(py)
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
        let mut set = 0;
        for tool in ToolId::all() {
            let events = event_ids::set(sides::events(py, tool)?).unwrap_or_default();
            set |= u8::from(events.contains(event.set())) << tool.index();
        }
        if set != 0 {
            tools.set_item(event.name(), set)?;
        }
    }
    Ok(tools)
}
