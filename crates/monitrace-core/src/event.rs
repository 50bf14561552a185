//! The table of events: the one place that says which events exist and what kind each is.
//!
//! The numbering here is the engine's own. Hosts that expose another one (CPython's ids moved
//! between 3.13 and 3.14) map it at their border and never store it here.

use bitflags::bitflags;
use std::fmt;
use std::str::FromStr;

/// What rules an event follows (`sys.monitoring`, "Events").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Happens at a clearly defined location; can be set per code object and disabled there.
    Local,
    /// Seen only where the `CALL` that controls it is monitored.
    Ancillary,
    /// Tied to no location: always global, never disabled.
    Other,
}

macro_rules! events {
    ($($variant:ident = $name:literal, $set:ident, $kind:ident, $doc:literal;)*) => {
        /// One kind of thing that happens while a program runs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Event { $(#[doc = $doc] $variant,)* }

        impl Event {
            /// Every event, in the engine's order.
            pub const ALL: &'static [Event] = &[$(Event::$variant,)*];
            const NAMES: &'static [&'static str] = &[$($name,)*];
            const KINDS: &'static [EventKind] = &[$(EventKind::$kind,)*];
        }

        bitflags! {
            /// A set of events.
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
            pub struct EventSet: u32 {
                $(#[doc = $doc] const $set = 1 << Event::$variant as u32;)*
            }
        }
    };
}

events! {
    PyStart = "PY_START", PY_START, Local, "A function starts, immediately after the call.";
    PyResume = "PY_RESUME", PY_RESUME, Local, "A generator or coroutine resumes, except by `throw()`.";
    PyReturn = "PY_RETURN", PY_RETURN, Local, "A function is about to return.";
    PyYield = "PY_YIELD", PY_YIELD, Local, "A function is about to yield.";
    Call = "CALL", CALL, Local, "A call is about to be made.";
    Line = "LINE", LINE, Local, "An instruction with another line than the one before it is about to run.";
    Instruction = "INSTRUCTION", INSTRUCTION, Local, "An instruction is about to run.";
    Jump = "JUMP", JUMP, Local, "An unconditional jump is made.";
    BranchLeft = "BRANCH_LEFT", BRANCH_LEFT, Local, "A conditional branch goes left.";
    BranchRight = "BRANCH_RIGHT", BRANCH_RIGHT, Local, "A conditional branch goes right.";
    StopIteration = "STOP_ITERATION", STOP_ITERATION, Local, "An artificial `StopIteration` is raised.";
    Raise = "RAISE", RAISE, Other, "An exception is raised, except those that cause `STOP_ITERATION`.";
    ExceptionHandled = "EXCEPTION_HANDLED", EXCEPTION_HANDLED, Other, "An exception is handled.";
    PyUnwind = "PY_UNWIND", PY_UNWIND, Other, "A function is left by an exception.";
    PyThrow = "PY_THROW", PY_THROW, Other, "A generator or coroutine is resumed by `throw()`.";
    Reraise = "RERAISE", RERAISE, Other, "An exception is raised again.";
    CReturn = "C_RETURN", C_RETURN, Ancillary, "A callable that is no function of the virtual machine returned.";
    CRaise = "C_RAISE", C_RAISE, Ancillary, "A callable that is no function of the virtual machine raised.";
}

impl Event {
    /// How many events there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The name in `sys.monitoring.events`.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Which rules it follows.
    pub const fn kind(self) -> EventKind {
        Self::KINDS[self as usize]
    }

    /// Whether a callback may answer [`Reply::Disable`](crate::Reply::Disable) to it.
    pub const fn can_be_disabled(self) -> bool {
        matches!(self.kind(), EventKind::Local)
    }

    /// The set of this event alone.
    pub const fn set(self) -> EventSet {
        EventSet::from_bits_retain(1 << self as u32)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No event has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no event is called {0:?}")]
pub struct UnknownEvent(pub String);

impl FromStr for EventSet {
    type Err = UnknownEvent;

    /// Reads one event's name, or `BRANCH` for both sides.
    fn from_str(name: &str) -> Result<Self, UnknownEvent> {
        if name == "BRANCH" {
            return Ok(EventSet::BRANCH);
        }
        EventSet::from_name(name).ok_or_else(|| UnknownEvent(name.to_owned()))
    }
}

impl EventSet {
    /// The deprecated `BRANCH`: both sides.
    pub const BRANCH: EventSet = EventSet::BRANCH_LEFT.union(EventSet::BRANCH_RIGHT);

    /// The events that can be set for one code object.
    pub const LOCAL: EventSet = {
        let mut bits = 0;
        let mut i = 0;
        while i < Event::COUNT {
            if matches!(Event::KINDS[i], EventKind::Local) {
                bits |= 1 << i;
            }
            i += 1;
        }
        EventSet::from_bits_retain(bits)
    };

    /// The events of the set, in the engine's order.
    pub fn events(self) -> impl Iterator<Item = Event> {
        Event::ALL.iter().copied().filter(move |e| self.contains(e.set()))
    }
}

impl From<Event> for EventSet {
    fn from(event: Event) -> EventSet {
        event.set()
    }
}

impl FromIterator<Event> for EventSet {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Self {
        events.into_iter().fold(EventSet::empty(), |set, event| set | event.set())
    }
}
