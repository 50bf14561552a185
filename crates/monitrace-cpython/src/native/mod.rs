//! 3.12 and later: joins native tools to the interpreter's own `sys.monitoring`.
//!
//! The interpreter owns tool ids, events, disabled locations and the dispatch; this registers one
//! callable for each event of a tool, and must never keep a second truth about any of those.

// Those that reach into the interpreter allow it themselves: `cells`, `quiet` and `producer`.
#![deny(unsafe_code)]

#[cfg(not(Py_3_14))]
mod branches;
pub mod cells;
mod listener;
mod namespace;
pub(crate) mod producer;
pub mod quiet;

use crate::door::free_id;
use crate::{CPython, event_ids};
use listener::Listener;
use monitrace_core::{EventSet, Tool};
use pyo3::exceptions::PyImportError;
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

/// Adds to `sys.monitoring` what it lacks and returns it.
pub(crate) fn install(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    let monitoring = monitoring(py)?;
    producer::installed(py)?;
    namespace::install(&monitoring)?;
    Ok(monitoring)
}

/// Takes away what was added.
pub(crate) fn uninstall(py: Python<'_>) -> PyResult<()> {
    namespace::uninstall(&monitoring(py)?)
}

pub(crate) fn attach(py: Python<'_>, tool: Tool<CPython>) -> PyResult<Attached> {
    let monitoring = monitoring(py)?;
    match producer::installed(py) {
        // C code then tells of nothing; Python's own is told of all the same.
        Err(error) if error.is_instance_of::<PyImportError>(py) => {}
        told => told?,
    }
    let id = free_id(tool.name(), |id| {
        let owner = monitoring.call_method1("get_tool", (id.index(),))?;
        Ok(if owner.is_none() { None } else { Some(owner.extract()?) })
    })?
    .index();
    monitoring.call_method1("use_tool_id", (id, tool.name()))?;
    let mut attached = Attached { id, events: Vec::new() };
    let set = register(&monitoring, &tool, &mut attached)
        .and_then(|bits| monitoring.call_method1("set_events", (id, bits)));
    if let Err(error) = set {
        attached.detach(py)?;
        return Err(error);
    }
    Ok(attached)
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
    if let Some(branches) = branches::Branches::of(tool, monitoring)? {
        add(event_ids::BRANCH, branches.callable(monitoring.py())?)?;
    }
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
