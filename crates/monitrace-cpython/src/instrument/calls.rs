//! The calls under way: what `C_RETURN` and `C_RAISE` tell of.
//!
//! The operands of a call are gone from the stack when it is over, and who is called decides whether its
//! end is an event at all. So the hook before a call notes it with the copy, and the hook behind it, or
//! the gate that its exception passes, takes the note out again. A frame makes one call at a time: it is
//! the key. What is noted must always be taken out: see [`Hook::is_wanted`](super::hook::Hook), and
//! `frames`, which moves a frame from one copy to another.

use super::hook::Hook;
use super::records::Instrumented;
use crate::ffi::frame::InterpreterFrame;
use crate::host::{CPython, Raised};
use monitrace_core::{Event, EventSet, EventState, Firing, Payload, Scope, ToolSet};
use pyo3::prelude::*;
use std::cell::RefCell;

/// The events that a copy has hooks for together or not at all.
pub(super) const CALLS: EventSet = EventSet::CALL.union(ENDS);

/// The ancillary events of `CALL`.
pub(super) const ENDS: EventSet = EventSet::C_RETURN.union(EventSet::C_RAISE);

/// What is wanted, with what has to be hooked for it.
pub(super) fn complete(wanted: EventSet) -> EventSet {
    if wanted.intersects(ENDS) { wanted | CALLS } else { wanted }
}

/// The states of one call's places. They are neighbours, see `bytecode::Analysis::places`.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    call: &'a EventState,
    returned: &'a EventState,
    raised: &'a EventState,
}

impl<'a> Places<'a> {
    /// Those of the call whose `CALL` is here.
    pub(super) fn of_call(scope: &'a Scope, place: usize) -> Places<'a> {
        Places { call: scope.state(place), returned: scope.state(place + 1), raised: scope.state(place + 2) }
    }

    /// Those of the call whose `C_RETURN` is here.
    pub(super) fn of_return(scope: &'a Scope, place: usize) -> Places<'a> {
        Places::of_call(scope, place - 1)
    }

    /// The tools that monitor the call: those that listen to it or to how it ends, and have not
    /// disabled it.
    pub(super) fn tools(self) -> ToolSet {
        self.call.active() | self.tools_for_ends()
    }

    /// Those of them that listen to how it ends.
    pub(super) fn tools_for_ends(self) -> ToolSet {
        self.hearing_ends().without(self.call.disabled())
    }

    pub(super) fn hearing_ends(self) -> ToolSet {
        self.returned.active() | self.raised.active()
    }

    fn hearing(self, end: Event) -> ToolSet {
        if end == Event::CReturn { self.returned.active() } else { self.raised.active() }
    }
}

/// A call that has begun.
pub(super) struct Call {
    /// Who makes it.
    pub(super) frame: *const InterpreterFrame,
    /// The hook before it. Borrowed from the copy that the call is noted with.
    pub(super) hook: *const Hook,
    /// The tools that monitored it when it began.
    pub(super) tools: ToolSet,
    pub(super) callable: Py<PyAny>,
    pub(super) arg0: Option<Py<PyAny>>,
}

impl Call {
    /// Tells how the call ended.
    ///
    /// # Errors
    /// What a callback raised.
    pub(super) fn end(self, py: Python<'_>, record: &Instrumented, event: Event) -> Result<(), Raised> {
        // SAFETY: hooks live as long as the copy whose record this is.
        let hook = unsafe { &*self.hook };
        super::monitor().enter(record.scope());
        let places = Places::of_call(record.scope(), hook.place());
        let mut tools = self.tools & places.hearing(event);
        // A tool that has disabled the call since then is told no more, but CPython 3.14 tells a lone tool
        // how the very call ended that it disabled.
        if !self.tools.bits().is_power_of_two() {
            tools = tools & places.tools();
        }
        let mut told = Ok(());
        if !tools.is_empty() {
            let payload = Payload::Call { callable: &self.callable, arg0: self.arg0.as_ref() };
            let firing: Firing<'_, CPython> =
                Firing { event, offset: hook.offset(), code: hook.site(), payload };
            told = super::monitor().fire_to(tools, &firing, |_| {});
        }
        self.forget(py);
        told
    }

    /// Lets go of what was called. May run code of the program.
    pub(super) fn forget(self, py: Python<'_>) {
        self.callable.drop_ref(py);
        if let Some(arg0) = self.arg0 {
            arg0.drop_ref(py);
        }
    }
}

/// The calls under way in one copy.
#[derive(Default)]
pub(super) struct Calls(RefCell<Vec<Call>>);

impl Calls {
    /// Notes a call. Gives back an older one of the same frame, which has ended unnoticed.
    pub(super) fn begin(&self, call: Call) -> Option<Call> {
        let mut calls = self.0.borrow_mut();
        let older = calls.pop_if(|older| older.frame == call.frame);
        calls.push(call);
        older
    }

    /// Takes out the call that this frame makes.
    pub(super) fn take(&self, frame: *const InterpreterFrame) -> Option<Call> {
        let mut calls = self.0.borrow_mut();
        // Frames that began later are done, but for those of other threads.
        let index = calls.iter().rposition(|call| call.frame == frame)?;
        Some(calls.remove(index))
    }

    /// Whether this frame makes a call.
    pub(super) fn is_made_by(&self, frame: *const InterpreterFrame) -> bool {
        self.0.borrow().iter().any(|call| call.frame == frame)
    }

    /// Takes out any call.
    pub(super) fn take_any(&self) -> Option<Call> {
        self.0.borrow_mut().pop()
    }

    /// Whether some frame is making the call whose `CALL` is at this place.
    pub(super) fn has(&self, place: usize) -> bool {
        // SAFETY: hooks live as long as the copy that the calls are noted with.
        self.0.borrow().iter().any(|call| unsafe { (*call.hook).place() } == place)
    }
}
