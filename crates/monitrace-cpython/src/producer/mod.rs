//! Events of code that is not Python's own: what the Monitoring C API stands on.
//!
//! A producer keeps the states of its scopes itself. [`enter`] fills them when the configuration has
//! changed, and [`fire`] tells of one event. Who dispatches is decided by `way` below: the engine on
//! 3.11, the interpreter where it can. This must never be reached without the GIL, nor dispatch.

mod code_like;
mod disabled;
mod disabled_calls;
mod image;
mod last_calls;
mod local_events;

use crate::event_ids;
#[cfg(not(Py_3_12))]
use crate::instrument::producer as way;
#[cfg(Py_3_12)]
use crate::native::producer as way;
pub use code_like::CodeLike;
#[cfg(all(Py_3_12, not(Py_3_13)))]
pub(crate) use local_events::heard;
#[cfg(not(Py_3_12))]
pub(crate) use local_events::listeners;
pub(crate) use local_events::{check, clear, local_events, set_local_events};
use monitrace::table::{GENERATION, State, Words};
use monitrace_core::{Event, EventSet, Payload};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;
pub use way::Thread;

/// A bit for each tool, as in the engine's `ToolSet`; from 3.13 on the two highest are the
/// interpreter's own tools, `sys.setprofile` and `sys.settrace`.
pub type Tools = u8;

/// One event of a producer. The objects are borrowed for as long as it is told of.
pub struct Occurrence<'a, 'py> {
    /// The thread that it happens in.
    pub thread: Thread<'py>,
    /// Which event.
    pub event: Event,
    /// What stands for the code object: one, or an object that emulates one.
    pub code_like: &'a Bound<'py, PyAny>,
    /// Where in it, in bytes.
    pub offset: u32,
    /// The line of a `LINE`, which may be any number.
    pub line: i32,
    /// What it carries; for `LINE`, `JUMP` and the branches nothing, see the other fields.
    pub payload: Payload<'a, Py<PyAny>>,
    /// The third argument of `JUMP` and the branches.
    pub destination: Option<&'a Py<PyAny>>,
    /// The call that a `C_RETURN` or `C_RAISE` ends, if it is known.
    pub call: Option<(&'a Py<PyAny>, Option<&'a Py<PyAny>>)>,
}

/// The words of this process.
pub static WORDS: Words = Words::new();

/// Fills the words in, before anybody looks at them.
pub fn prepare() {
    WORDS.configuration.store(way::configuration().cast_mut(), Relaxed);
}

/// Which events the scope may fire, from their ids in this version of CPython.
fn events_of(id: u8) -> PyResult<EventSet> {
    event_ids::of_id(id).ok_or_else(|| PyValueError::new_err(format!("invalid event type {id}")))
}

/// Brings the states of a scope up to date, one for each of `ids`. Leaves all as it is, and returns at
/// once, if the configuration has not changed since `version` was written.
///
/// # Errors
/// `ValueError` for an id that stands for no event; nothing is changed then.
pub fn enter(py: Python<'_>, states: &[State], version: &Cell<u64>, ids: &[u8]) -> PyResult<()> {
    debug_assert_eq!(states.len(), ids.len());
    let is_native = local_events::none_has_local_events();
    if way::is_up_to_date(py, version.get(), is_native) {
        return Ok(());
    }
    // All of them before the first is written.
    for &id in ids {
        events_of(id)?;
    }
    if is_native && way::enter(states, version, ids) {
        states.iter().for_each(State::forget_local);
        return Ok(());
    }
    let (current, tools) = way::tools(py)?;
    #[cfg(not(Py_3_12))]
    local_events::note_global(&tools);
    for (state, &id) in states.iter().zip(ids) {
        // CALL is to be heard by whoever wants to know how it ends.
        let events = local_events::heard(events_of(id)?);
        let global = events.events().fold(0, |all, event| all | tools[event as usize]);
        let local = events.events().fold(0, |all, event| all | local_events::tools_anywhere(event));
        state.set(global | local, local & !global);
    }
    version.set(current);
    disabled_calls::tie(states, ids);
    Ok(())
}

/// The configuration for which an event is disabled at an offset: it does not change with the local events
/// of code-likes, unlike the version of a scope, but with the tools.
fn configuration(py: Python<'_>) -> u64 {
    way::configuration_version(py) + GENERATION * local_events::clearings()
}

/// Whether the interpreter's own function tells of an event just as [`fire`] does: its producer may call it
/// directly. That is so if nobody listens for a code-like's sake and nothing can be disabled by offset.
#[cfg(Py_3_13)]
#[inline]
pub fn is_straight(thread: Thread<'_>, state: &State, code_like: &Bound<'_, PyAny>) -> bool {
    let is_slotted = || CodeLike::of(code_like).and_then(CodeLike::disabled).is_none();
    !thread.is_quiet() && state.local() == 0 && is_slotted()
}

/// Tells the tools of one state of one event.
///
/// # Errors
/// What a callback raised, and `ValueError` if one disabled an event that has no location.
pub fn fire(py: Python<'_>, state: &State, occurrence: &Occurrence<'_, '_>) -> PyResult<()> {
    if occurrence.thread.is_quiet() {
        return Ok(());
    }
    let (event, offset) = (occurrence.event, occurrence.offset);
    let is_end = matches!(event, Event::CReturn | Event::CRaise);
    if is_end {
        disabled_calls::silence(state);
    }
    let code_like = CodeLike::of(occurrence.code_like);
    let by_offset = code_like.and_then(CodeLike::disabled);
    let mut wanted = state.active();
    let local = wanted & state.local();
    if local != 0 {
        wanted &= !local | local_events::tools(occurrence.code_like, code_like, event);
    }
    let mut disabled_here = 0;
    if let Some(by_offset) = by_offset {
        disabled_here = by_offset.tools(event, offset, || configuration(py));
        wanted &= !disabled_here;
    }
    if is_end {
        return fire_end(py, wanted, occurrence);
    }
    if event == Event::Call && wanted | disabled_here != 0 {
        last_calls::remember(py, occurrence, disabled_here);
    }
    if wanted == 0 {
        return Ok(());
    }
    way::fire(py, wanted, occurrence, |tools| {
        if tools == 0 {
            return;
        }
        match by_offset {
            Some(by_offset) => by_offset.disable(event, offset, tools, configuration(py)),
            None => state.disable(tools),
        }
        if event == Event::Call {
            last_calls::disable(occurrence, tools);
            if by_offset.is_none() {
                disabled_calls::note(state, tools);
            }
        }
    })
}

/// The end of a call is told with the call, and only to those who have not disabled that.
fn fire_end(py: Python<'_>, wanted: Tools, occurrence: &Occurrence<'_, '_>) -> PyResult<()> {
    let ended = last_calls::take(py, occurrence);
    let wanted = wanted & !ended.as_ref().map_or(0, |call| call.disabled);
    if wanted == 0 {
        return Ok(());
    }
    let call =
        ended.as_ref().map(|call| (call.callable.as_unbound(), call.arg0.as_ref().map(Bound::as_unbound)));
    // There is no place to disable an end at.
    way::fire(py, wanted, &Occurrence { call, ..*occurrence }, |_| ())
}
