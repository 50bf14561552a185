//! The table of event ids: which bit of `sys.monitoring.events` stands for which event in each
//! version of CPython. Nothing else may know these numbers, but the C header and the crate
//! `monitrace`, which cannot ask and are compared with it by tests.
//!
//! CPython 3.14 renumbered the events when it split `BRANCH`, and clients bake their version's
//! ids in. So 3.12 and 3.13 keep their own, and what they lack takes bits that they leave unused;
//! 3.11, which has none, takes those of 3.14.

use monitrace_core::{Event, EventSet};

/// The versions of the columns below.
pub const VERSIONS: [u8; 5] = [11, 12, 13, 14, 15];

/// The id of each event, in the engine's order, on Python 3.11, 3.12, 3.13, 3.14 and 3.15.
#[rustfmt::skip]
pub const IDS: [(Event, [u8; 5]); Event::COUNT] = [
    (Event::PyStart,          [ 0,  0,  0,  0,  0]),
    (Event::PyResume,         [ 1,  1,  1,  1,  1]),
    (Event::PyReturn,         [ 2,  2,  2,  2,  2]),
    (Event::PyYield,          [ 3,  3,  3,  3,  3]),
    (Event::Call,             [ 4,  4,  4,  4,  4]),
    (Event::Line,             [ 5,  5,  5,  5,  5]),
    (Event::Instruction,      [ 6,  6,  6,  6,  6]),
    (Event::Jump,             [ 7,  7,  7,  7,  7]),
    (Event::BranchLeft,       [ 8, 17, 17,  8,  8]),
    (Event::BranchRight,      [ 9, 18, 18,  9,  9]),
    (Event::StopIteration,    [10,  9,  9, 10, 10]),
    (Event::Raise,            [11, 10, 10, 11, 11]),
    (Event::ExceptionHandled, [12, 11, 11, 12, 12]),
    (Event::PyUnwind,         [13, 12, 12, 13, 13]),
    (Event::PyThrow,          [14, 13, 13, 14, 14]),
    (Event::Reraise,          [15, 14, 14, 15, 15]),
    (Event::CReturn,          [16, 15, 15, 16, 16]),
    (Event::CRaise,           [17, 16, 16, 17, 17]),
];

/// The id of the deprecated `BRANCH`, which stands for both sides, on the same versions.
pub const BRANCH_IDS: [u8; 5] = [18, 8, 8, 18, 18];

/// The column of the version that this was built for.
pub const HERE: usize = if cfg!(Py_3_15) {
    4
} else if cfg!(Py_3_14) {
    3
} else if cfg!(Py_3_13) {
    2
} else if cfg!(Py_3_12) {
    1
} else {
    0
};

/// Whether the interpreter tells the two sides of a branch apart by itself.
pub const HAS_BRANCH_SIDES: bool = cfg!(Py_3_14);

/// The id of the deprecated `BRANCH`.
pub const BRANCH_ID: u8 = BRANCH_IDS[HERE];

/// How many events the interpreter keeps a callback of for each tool: its ids are less than this.
#[cfg(Py_3_12)]
pub const COUNT: usize = if cfg!(Py_3_14) { 19 } else { 17 };

/// The bit of the deprecated `BRANCH`.
pub const BRANCH: u32 = 1 << BRANCH_ID;

/// The id of an event. On 3.12 and 3.13 the interpreter knows none for `BRANCH_LEFT` and
/// `BRANCH_RIGHT`: these two are ours, and must not reach its functions.
pub const fn id(event: Event) -> u8 {
    IDS[event as usize].1[HERE]
}

/// The bit of an event.
pub const fn bit(event: Event) -> u32 {
    1 << id(event)
}

/// The events that an id stands for: both sides for that of `BRANCH`. `None` if it stands for none.
pub fn of_id(id: u8) -> Option<EventSet> {
    set(1_u32.checked_shl(id.into())?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_in_the_engines_order_and_gives_no_id_twice() {
        for (index, &event) in Event::ALL.iter().enumerate() {
            assert_eq!(IDS[index].0, event);
        }
        for version in 0..VERSIONS.len() {
            let mut ids: Vec<u8> = IDS.iter().map(|(_, ids)| ids[version]).collect();
            ids.push(BRANCH_IDS[version]);
            ids.sort_unstable();
            assert_eq!(ids, (0..=Event::COUNT as u8).collect::<Vec<u8>>());
        }
    }
}
