//! The events that a scope can declare, as types.
//!
//! It owns their ids in each version of CPython, for producers: a producer is built without the package
//! and cannot ask. `tests/header.rs` compares them with `monitrace.h`, and `monitrace-capi` with the
//! table that the package goes by.

#![forbid(unsafe_code)]

use crate::table::State;

mod sealed {
    pub trait Sealed {}
}
use sealed::Sealed;

/// An event: one of the types of this module.
pub trait Event: Sealed + Copy {
    /// Its name in `sys.monitoring.events`.
    const NAME: &'static str;
    /// Its id in the version of CPython that this is built for: `1 << ID` is its bit in
    /// `sys.monitoring.events`, and `PY_MONITORING_EVENT_…` in C.
    const ID: u8;
}

/// The ids of [3.14](https://docs.python.org/3.14/library/sys.monitoring.html), where the events were
/// renumbered. 3.11 has none of its own and takes them, too.
const RENUMBERED: bool = cfg!(any(not(Py_3_12), Py_3_14));

/// Each event with its id as renumbered, and as 3.12 and 3.13 have it.
macro_rules! events {
    ($($(#[$doc:meta])* $event:ident, $name:literal, $id:literal, $older:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
            pub struct $event;

            impl Sealed for $event {}

            impl Event for $event {
                const NAME: &'static str = $name;
                const ID: u8 = if RENUMBERED { $id } else { $older };
            }
        )*

        /// The name and the id of every event here.
        pub const ALL: &[(&str, u8)] = &[$(($event::NAME, $event::ID)),*];
    };
}

events! {
    /// A function, a module, a class or whatever the code-like stands for is entered.
    PyStart, "PY_START", 0, 0;
    /// It goes on after it yielded.
    PyResume, "PY_RESUME", 1, 1;
    /// It returns.
    PyReturn, "PY_RETURN", 2, 2;
    /// It yields.
    PyYield, "PY_YIELD", 3, 3;
    /// It calls something.
    Call, "CALL", 4, 4;
    /// A line begins.
    Line, "LINE", 5, 5;
    /// A jump without a condition is taken.
    Jump, "JUMP", 7, 7;
    /// A branch goes left. Which side that is the producer chooses, once for each branch.
    BranchLeft, "BRANCH_LEFT", 8, 17;
    /// A branch goes right.
    BranchRight, "BRANCH_RIGHT", 9, 18;
    /// An artificial `StopIteration` is raised.
    StopIteration, "STOP_ITERATION", 10, 9;
    /// An exception is raised.
    Raise, "RAISE", 11, 10;
    /// An exception is caught.
    ExceptionHandled, "EXCEPTION_HANDLED", 12, 11;
    /// An exception leaves the code-like.
    PyUnwind, "PY_UNWIND", 13, 12;
    /// It goes on after it yielded, with an exception thrown into it.
    PyThrow, "PY_THROW", 14, 13;
    /// An exception is raised again, at the end of a `finally` block, say.
    Reraise, "RERAISE", 15, 14;
    /// What was called, and is not Python's, returned.
    CReturn, "C_RETURN", 16, 15;
    /// What was called, and is not Python's, raised.
    CRaise, "C_RAISE", 17, 16;
}

/// The ids of a scope's events, in the order of its states.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    /// For the package.
    pub(crate) own: &'static [u8],
    /// For the interpreter: see [`native`].
    pub(crate) native: &'static [u8],
    /// Whether the two are the same, and the interpreter knows as much of the scope as the package.
    #[cfg(Py_3_13)]
    pub(crate) are_native: bool,
}

impl Ids {
    const fn new(own: &'static [u8], native: &'static [u8]) -> Ids {
        #[cfg(Py_3_13)]
        let are_native = {
            let (mut index, mut same) = (0, true);
            while index < own.len() {
                same &= own[index] == native[index];
                index += 1;
            }
            same
        };
        Ids {
            own,
            native,
            #[cfg(Py_3_13)]
            are_native,
        }
    }
}

/// The id under which the interpreter is asked who wants an event. Its own function, which fills scopes from
/// 3.13 on, keeps tools of the events up to `RERAISE` and looks at no bounds: the ends of calls are told
/// to those who want calls, and the sides of a branch, on 3.13, to those who want branches.
const fn native(id: u8) -> u8 {
    const BRANCH: u8 = 8;
    if !cfg!(Py_3_13) || id <= Reraise::ID {
        id
    } else if id == BranchLeft::ID || id == BranchRight::ID {
        BRANCH
    } else {
        Call::ID
    }
}

/// The events that a scope declares: a tuple of the types of this module.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no declaration of events",
    note = "a scope declares a tuple of 1 to 17 events, as in `Scope<(PyStart, Line, PyReturn)>`"
)]
pub trait Events: Sealed {
    /// A state for each.
    #[doc(hidden)]
    type States: AsRef<[State]> + Send + Sync + 'static;
    /// States that nobody listens to.
    #[doc(hidden)]
    const NONE: Self::States;
    /// Their ids.
    #[doc(hidden)]
    const IDS: Ids;
}

/// That `E` is one of the events that a scope declares. `Place`, which the compiler finds out, says
/// which one.
#[diagnostic::on_unimplemented(
    message = "the scope does not declare `{E}`",
    label = "this event is not declared",
    note = "the scope declares `{Self}`"
)]
pub trait Declares<E: Event, Place>: Events {
    #[doc(hidden)]
    const INDEX: usize;
}

/// The place of an event in a declaration.
#[derive(Debug)]
pub struct At<const INDEX: usize>;

macro_rules! declares {
    ([$($all:ident)*] $event:ident $index:literal) => {
        impl<$($all: Event),*> Declares<$event, At<$index>> for ($($all,)*) {
            const INDEX: usize = $index;
        }
    };
}

/// One tuple of events, whose generic parameters come as a list and once more with their places.
macro_rules! tuple {
    ($all:tt $($event:ident $index:literal)*) => {
        impl<$($event: Event),*> Sealed for ($($event,)*) {}

        impl<$($event: Event),*> Events for ($($event,)*) {
            type States = [State; [$($index),*].len()];
            // Each scope has states of its own, and this is what they begin as.
            #[allow(clippy::declare_interior_mutable_const)]
            const NONE: Self::States = [const { State::new(0) }; [$($index),*].len()];
            const IDS: Ids = Ids::new(&[$($event::ID),*], &[$(native($event::ID)),*]);
        }

        $(declares! { $all $event $index })*
    };
}

/// Tuples of every length.
macro_rules! tuples {
    ([$($done:ident $at:literal)*]) => {};
    ([$($done:ident $at:literal)*] $next:ident $index:literal $($rest:tt)*) => {
        tuple! { [$($done)* $next] $($done $at)* $next $index }
        tuples! { [$($done $at)* $next $index] $($rest)* }
    };
}

tuples! { [] A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11 M 12 N 13 O 14 P 15 Q 16 }
