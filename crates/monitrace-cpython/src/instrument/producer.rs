//! 3.11: events of producers, through the engine.

use super::monitor;
pub use super::quiet::Thread;
use crate::host::{CPython, Site};
use crate::producer::{Occurrence, Tools, WORDS};
use monitrace::table::State;
use monitrace_core::{ByteOffset, Event, Firing, Host, Payload, ToolSet};
use pyo3::prelude::*;
use std::cell::{Cell, OnceCell};
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering::Relaxed;

/// Where the version stands, for those who compare it by themselves.
pub(crate) fn configuration() -> *const u64 {
    monitor().version_word().as_ptr()
}

/// Whether a scope of this version is up to date.
pub(crate) fn is_up_to_date(_py: Python<'_>, version: u64, _is_native: bool) -> bool {
    version == monitor().version() + WORDS.generation.load(Relaxed)
}

/// The configuration's version, whatever code-likes want.
pub(crate) fn configuration_version(_py: Python<'_>) -> u64 {
    monitor().version()
}

/// There is no interpreter to do it.
pub(crate) fn enter(_states: &[State], _version: &Cell<u64>, _ids: &[u8]) -> bool {
    false
}

/// The version, and the tools that want each event of all code.
pub(crate) fn tools(_py: Python<'_>) -> PyResult<(u64, [Tools; Event::COUNT])> {
    let generation = WORDS.generation.load(Relaxed);
    let (version, tools) = monitor().tools();
    Ok((version + generation, tools.map(ToolSet::bits)))
}

/// Whether some tool listens to `C_RETURN` or `C_RAISE`.
pub(crate) fn ends_are_heard(_py: Python<'_>) -> bool {
    [Event::CReturn, Event::CRaise].into_iter().any(|event| crate::producer::listeners(event) != 0)
}

/// The number of the current thread.
pub(crate) fn thread() -> u64 {
    monitor().host().thread()
}

/// Tells the tools of an event. `disabled` is given those that answered `DISABLE`.
pub(crate) fn fire(
    py: Python<'_>,
    tools: Tools,
    occurrence: &Occurrence<'_, '_>,
    disabled: impl Fn(Tools),
) -> PyResult<()> {
    let position = OnceCell::new();
    let payload = match occurrence.event {
        Event::Line => {
            // The engine's lines are unsigned; a callback in Python is to get what came.
            if occurrence.line < 0 {
                position.get_or_init(|| boxed(py, occurrence.line));
            }
            Payload::Line(u32::try_from(occurrence.line).unwrap_or_default())
        }
        Event::Jump | Event::BranchLeft | Event::BranchRight => Payload::Destination(ByteOffset(
            occurrence.destination.and_then(|to| to.bind(py).extract().ok()).unwrap_or(u32::MAX),
        )),
        Event::CReturn | Event::CRaise => {
            let missing = &crate::callback::constants(py)?.missing;
            let (callable, arg0) = occurrence.call.unwrap_or((missing, None));
            Payload::Call { callable, arg0 }
        }
        _ => occurrence.payload,
    };
    let site = ManuallyDrop::new(Site {
        code: occurrence.code_like.clone().unbind(),
        position,
        id: None,
        destination: occurrence.destination.map(|destination| destination.clone_ref(py)),
    });
    let firing: Firing<'_, CPython> =
        Firing { event: occurrence.event, offset: ByteOffset(occurrence.offset), code: &site, payload };
    let told =
        monitor().fire_to(ToolSet::from_bits(tools), &firing, |tool| disabled(ToolSet::from(tool).bits()));
    // Not left to the drop: in a thread that PyO3 does not know of, that would be put off.
    let Site { code, position, destination, .. } = ManuallyDrop::into_inner(site);
    code.drop_ref(py);
    if let Some(position) = position.into_inner() {
        position.drop_ref(py);
    }
    if let Some(destination) = destination {
        destination.drop_ref(py);
    }
    told.map_err(|raised| raised.0)
}

fn boxed(py: Python<'_>, number: i32) -> Py<PyAny> {
    match number.into_pyobject(py) {
        Ok(number) => number.into_any().unbind(),
        Err(never) => match never {},
    }
}
