//! 3.12 and later: joins native tools to the interpreter's own `sys.monitoring`.
//!
//! The interpreter owns tool ids, events, disabled locations and the dispatch; this registers one
//! callable for each event of a tool, and must never keep a second truth about any of those.
//!
//! ```text
//! namespace   what install() replaces in sys.monitoring, on every version
//! topup       3.12, 3.13: what 3.14 has besides
//! sides       3.12, 3.13: which sides of branches a tool wants, and has disabled
//! branches    3.12, 3.13: the callable that tells sides apart
//! branch_table   3.12, 3.13: the branches of a code object
//! own         the interpreter's own functions
//! listener    the callables of native tools
//! producer    events of code that is not Python
//! cells       where the interpreter keeps callbacks
//! quiet       mutes a thread while a callback runs
//! ```

// Those that reach into the interpreter allow it themselves: `cells`, `quiet` and `producer`.
#![deny(unsafe_code)]

#[cfg(not(Py_3_14))]
mod branch_table;
#[cfg(not(Py_3_14))]
mod branches;
pub mod cells;
mod listener;
mod namespace;
mod own;
pub(crate) mod producer;
pub mod quiet;
#[cfg(not(Py_3_14))]
mod sides;
#[cfg(not(Py_3_14))]
mod topup;

use crate::door::free_id;
use crate::{CPython, event_ids};
#[cfg(not(Py_3_14))]
pub(crate) use branch_table::branches_of;
#[cfg(not(Py_3_14))]
use branches::SideCallback;
use listener::Listener;
#[cfg(not(Py_3_14))]
use monitrace_core::EventSet;
use monitrace_core::{Tool, ToolId};
use pyo3::exceptions::PyImportError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyModule;
use std::sync::Arc;

/// A tool that is attached, by its id.
pub(crate) struct Attached(ToolId);

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
        let owner = own::call(py, intern!(py, "get_tool"), (id.index(),))?;
        Ok(if owner.is_none() { None } else { Some(owner.extract()?) })
    })?;
    own::call(py, intern!(py, "use_tool_id"), (id.index(), tool.name()))?;
    #[cfg(not(Py_3_14))]
    topup::watch_restarts(&monitoring)?;
    let attached = Attached(id);
    if let Err(error) = listen(&monitoring, &tool, id) {
        attached.detach(py)?;
        return Err(error);
    }
    Ok(attached)
}

/// Registers a callable for each event of the tool, and sets the events.
fn listen(monitoring: &Bound<'_, PyModule>, tool: &Tool<CPython>, id: ToolId) -> PyResult<()> {
    let py = monitoring.py();
    let mut bits = 0;
    for (event, callback) in tool.callbacks() {
        let (event, callback) = (*event, Arc::clone(callback));
        bits |= event_ids::bit(event);
        #[cfg(not(Py_3_14))]
        if EventSet::BRANCH.contains(event.set()) {
            branches::register(py, id, event, Some(SideCallback::Native(callback)))?;
            continue;
        }
        let listener = Listener::new(monitoring, event, callback)?.callable(py)?;
        own::call(py, intern!(py, "register_callback"), (id.index(), event_ids::bit(event), listener))?;
    }
    #[cfg(not(Py_3_14))]
    return sides::set_events(py, id, bits);
    #[cfg(Py_3_14)]
    own::call(py, intern!(py, "set_events"), (id.index(), bits)).map(drop)
}

impl Attached {
    pub(crate) fn detach(self, py: Python<'_>) -> PyResult<()> {
        #[cfg(not(Py_3_14))]
        {
            topup::free(py, self.0)?;
            topup::leave_restarts(&monitoring(py)?)
        }
        #[cfg(Py_3_14)]
        own::call(py, intern!(py, "free_tool_id"), (self.0.index(),)).map(drop)
    }
}
