//! The versioned cache between the configuration and the places where events happen.
//!
//! A [`Scope`] stands for one code object and holds one [`EventState`] for each of its places. The
//! state's byte says which tools are to be told; the scope's version says for which configuration
//! that byte was computed. It must never be read for an event without the version being checked.

use crate::sync::{AtomicU8, AtomicU64};
use crate::{CodeId, Event, ToolId, ToolSet};
use std::sync::atomic::Ordering::Relaxed;

/// Which tools are told of one event at one place, and which have disabled it there.
#[derive(Debug, Default)]
pub struct EventState {
    active: AtomicU8,
    disabled: AtomicU8,
}

impl EventState {
    /// The tools to tell. One relaxed load.
    pub fn active(&self) -> ToolSet {
        ToolSet::from_known_bits(self.active.load(Relaxed))
    }

    /// The tools that have disabled the event here, whether or not they want it now: for hosts where one
    /// place controls another, as a `CALL` its `C_RETURN`.
    pub fn disabled(&self) -> ToolSet {
        ToolSet::from_known_bits(self.disabled.load(Relaxed))
    }

    pub(crate) fn disable(&self, tool: ToolId) {
        let bit = ToolSet::EMPTY.with(tool).bits();
        self.disabled.fetch_or(bit, Relaxed);
        self.active.fetch_and(!bit, Relaxed);
    }

    /// `forget`: the tools for which what they disabled counts no more.
    pub(crate) fn refresh(&self, tools: ToolSet, forget: ToolSet) {
        let disabled = self.disabled().without(forget);
        self.disabled.store(disabled.bits(), Relaxed);
        self.active.store(tools.without(disabled).bits(), Relaxed);
    }
}

/// The event states of one code object.
#[derive(Debug)]
pub struct Scope {
    code: CodeId,
    pub(crate) version: AtomicU64,
    events: Box<[Event]>,
    states: Box<[EventState]>,
}

impl Scope {
    /// A scope with a place for each of `events`, in that order. An event may occur many times.
    pub fn new(code: CodeId, events: impl IntoIterator<Item = Event>) -> Scope {
        let events: Box<[Event]> = events.into_iter().collect();
        let states = events.iter().map(|_| EventState::default()).collect();
        Scope { code, version: AtomicU64::new(0), events, states }
    }

    /// Whose scope it is.
    pub fn code(&self) -> CodeId {
        self.code
    }

    /// The places: each one's event and state.
    pub fn places(&self) -> impl Iterator<Item = (Event, &EventState)> {
        self.events.iter().copied().zip(&self.states)
    }

    /// The state of one place.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn state(&self, place: usize) -> &EventState {
        &self.states[place]
    }
}
