//! 3.12 and later: joins native tools to the interpreter's own `sys.monitoring`.
//!
//! The interpreter owns tool ids, events, disabled locations and the dispatch; this registers one
//! callable for each event of a tool, and must never keep a second truth about any of those.

#[cfg(not(Py_3_14))]
mod branches;
mod listener;

use crate::{CPython, event_ids};
use listener::Listener;
use monitrace_core::{Event, EventSet, Tool, ToolId};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyModule;
use std::sync::Arc;

/// A tool that is attached: its id, and the native events that it has callables for.
pub(crate) struct Attached {
    id: usize,
    events: Vec<u32>,
}

/// `sys.monitoring`, as the interpreter has it.
pub(crate) fn monitoring(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    Ok(py.import("sys")?.getattr("monitoring")?.cast_into()?)
}

/// Leaves `sys.monitoring` as it is and returns it.
pub(crate) fn install(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    monitoring(py)
}

/// Nothing was changed, so nothing is put back.
pub(crate) fn uninstall(_py: Python<'_>) -> PyResult<()> {
    Ok(())
}

/// The order in which ids are tried: the profilers' first, then those without a conventional
/// owner, then the others'.
fn candidates() -> impl Iterator<Item = usize> {
    let owned = [ToolId::OPTIMIZER, ToolId::COVERAGE, ToolId::DEBUGGER];
    let free = ToolId::all().filter(move |id| *id != ToolId::PROFILER && !owned.contains(id));
    [ToolId::PROFILER].into_iter().chain(free).chain(owned).map(ToolId::index)
}

pub(crate) fn attach(py: Python<'_>, tool: Tool<CPython>) -> PyResult<Attached> {
    let monitoring = monitoring(py)?;
    let id = claim(&monitoring, tool.name())?;
    let mut attached = Attached { id, events: Vec::new() };
    let set = register(&monitoring, &tool, &mut attached)
        .and_then(|bits| monitoring.call_method1("set_events", (id, bits)));
    if let Err(error) = set {
        attached.detach(py)?;
        return Err(error);
    }
    Ok(attached)
}

fn claim(monitoring: &Bound<'_, PyModule>, name: &str) -> PyResult<usize> {
    for id in candidates() {
        if monitoring.call_method1("get_tool", (id,))?.is_none() {
            monitoring.call_method1("use_tool_id", (id, name))?;
            return Ok(id);
        }
    }
    let mut owners = Vec::new();
    for id in ToolId::all() {
        owners
            .push(monitoring.call_method1("get_tool", (id.index(),))?.str()?.to_string_lossy().into_owned());
    }
    Err(PyRuntimeError::new_err(format!("no tool id is free for {name:?}: in use by {}", owners.join(", "))))
}

/// Registers a callable for each event of the tool. Answers the set of their bits.
fn register(
    monitoring: &Bound<'_, PyModule>,
    tool: &Tool<CPython>,
    attached: &mut Attached,
) -> PyResult<u32> {
    let mut bits = 0;
    let mut add = |event: u32, callable: Bound<'_, PyAny>| {
        attached.events.push(event);
        bits |= event;
        monitoring.call_method1("register_callback", (attached.id, event, callable)).map(drop)
    };
    for (event, callback) in tool.callbacks() {
        if event_ids::HAS_BRANCH_SIDES || !EventSet::BRANCH.contains(event.set()) {
            let listener = Listener::new(monitoring, *event, Arc::clone(callback))?;
            add(event_ids::bit(*event), listener.callable(monitoring.py())?)?;
        }
    }
    #[cfg(not(Py_3_14))]
    {
        let side = |side: Event| {
            tool.callbacks()
                .iter()
                .find(|(event, _)| *event == side)
                .map(|(_, callback)| Arc::clone(callback))
        };
        let (left, right) = (side(Event::BranchLeft), side(Event::BranchRight));
        if left.is_some() || right.is_some() {
            let branches = branches::Branches::new(monitoring, left, right)?;
            add(event_ids::BRANCH, branches.callable(monitoring.py())?)?;
        }
    }
    #[cfg(Py_3_14)]
    let _ = Event::ALL;
    Ok(bits)
}

impl Attached {
    pub(crate) fn detach(self, py: Python<'_>) -> PyResult<()> {
        let monitoring = monitoring(py)?;
        monitoring.call_method1("set_events", (self.id, 0))?;
        // 3.12 and 3.13 leave the callbacks to the next owner of the id.
        for event in self.events {
            monitoring.call_method1("register_callback", (self.id, event, py.None()))?;
        }
        monitoring.call_method1("free_tool_id", (self.id,))?;
        Ok(())
    }
}
