//! The table of event ids: which bit of `sys.monitoring.events` stands for which event in the
//! version that this was built for. Nothing else may know these numbers.
//!
//! CPython 3.14 renumbered the events when it split `BRANCH`, and clients bake their version's
//! ids in. So 3.12 and 3.13 keep their own, and what they lack takes bits that they leave unused;
//! 3.11, which has none, takes those of 3.14.

use monitrace_core::{Event, EventSet};

/// How the events of one range of versions are numbered.
struct Numbering {
    /// The bit position of each event, in the engine's order.
    ids: [u8; Event::COUNT],
    /// The bit position of the deprecated `BRANCH`.
    branch: u8,
}

// In the engine's order: PY_START, PY_RESUME, PY_RETURN, PY_YIELD, CALL, LINE, INSTRUCTION, JUMP,
// BRANCH_LEFT, BRANCH_RIGHT, STOP_ITERATION, RAISE, EXCEPTION_HANDLED, PY_UNWIND, PY_THROW,
// RERAISE, C_RETURN, C_RAISE.
const OF_3_12: Numbering =
    Numbering { ids: [0, 1, 2, 3, 4, 5, 6, 7, 17, 18, 9, 10, 11, 12, 13, 14, 15, 16], branch: 8 };
const OF_3_14: Numbering =
    Numbering { ids: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17], branch: 18 };

const HERE: Numbering = if cfg!(all(Py_3_12, not(Py_3_14))) { OF_3_12 } else { OF_3_14 };

/// Whether the interpreter tells the two sides of a branch apart by itself.
pub const HAS_BRANCH_SIDES: bool = cfg!(Py_3_14);

/// How many events the interpreter keeps a callback of for each tool: its ids are less than this.
#[cfg(Py_3_12)]
pub const COUNT: usize = if cfg!(Py_3_14) { 19 } else { 17 };

/// The bit of the deprecated `BRANCH`.
pub const BRANCH: u32 = 1 << HERE.branch;

/// The bit of an event. On 3.12 and 3.13 the interpreter knows none for `BRANCH_LEFT` and
/// `BRANCH_RIGHT`: these two are ours, and must not reach its functions.
pub const fn bit(event: Event) -> u32 {
    1 << HERE.ids[event as usize]
}

/// The bits of a set.
pub fn bits(events: EventSet) -> u32 {
    events.events().fold(0, |bits, event| bits | bit(event))
}

/// The set that the bits stand for, where `BRANCH` stands for both sides. `None` if a bit stands
/// for no event.
pub fn set(bits: u32) -> Option<EventSet> {
    let mut rest = bits;
    let mut events = EventSet::empty();
    if rest & BRANCH != 0 {
        rest &= !BRANCH;
        events |= EventSet::BRANCH;
    }
    for &event in Event::ALL {
        if rest & bit(event) != 0 {
            rest &= !bit(event);
            events |= event.set();
        }
    }
    (rest == 0).then_some(events)
}
