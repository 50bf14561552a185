//! Calls that are disabled: a tool that disabled `CALL` is not told how such a call ends either.
//!
//! The end of a call has a state of its own. So entering a scope ties it to the call's: where the scope
//! has as many states for the one as for the other, they belong together in their order. This owns the
//! ties, and which tools have disabled which call. A state is known by its address alone, for a
//! producer may move and free it: this must never follow a tie into the producer's memory.

use super::{State, Tools};
use crate::event_ids;
use monitrace_core::Event;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// The tools that have disabled a call, by the address of its state.
static DISABLED: LazyLock<Mutex<HashMap<usize, Tools>>> = LazyLock::new(Mutex::default);
/// Whether there is any: one load where there is none.
static ANY: AtomicBool = AtomicBool::new(false);

/// Producers do not say that they free a scope: with so many all are forgotten.
const KEPT: usize = 4096;

fn lock() -> MutexGuard<'static, HashMap<usize, Tools>> {
    DISABLED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn address(state: &State) -> usize {
    std::ptr::from_ref(state).addr()
}

/// Ties states that were filled right now, in which nothing is disabled any more.
pub(super) fn tie(states: &[State], ids: &[u8]) {
    let slots = |event| {
        let id = event_ids::id(event);
        ids.iter().enumerate().filter(move |&(_, other)| *other == id).map(|(slot, _)| slot)
    };
    if ANY.load(Relaxed) {
        let mut disabled = lock();
        for call in slots(Event::Call) {
            disabled.remove(&address(&states[call]));
        }
        ANY.store(!disabled.is_empty(), Relaxed);
    }
    for end in [Event::CReturn, Event::CRaise] {
        if slots(end).count() == slots(Event::Call).count() {
            for (end, call) in slots(end).zip(slots(Event::Call)) {
                // What is too far away stays alone.
                let distance = i8::try_from(call as isize - end as isize).unwrap_or(0);
                states[end].opaque.set(distance as u8);
                states[call].opaque.set(1);
            }
        }
    }
}

/// Notes that these tools have disabled a call.
pub(super) fn note(call: &State, tools: Tools) {
    if call.opaque.get() == 0 || tools == 0 {
        return;
    }
    let mut disabled = lock();
    if disabled.len() >= KEPT {
        disabled.clear();
    }
    *disabled.entry(address(call)).or_default() |= tools;
    ANY.store(true, Relaxed);
}

/// Takes the tools out of the state of an end that have disabled its call.
pub(super) fn silence(end: &State) {
    let distance = end.opaque.get() as i8;
    if distance != 0 && ANY.load(Relaxed) {
        let call = address(end).wrapping_add_signed(isize::from(distance) * size_of::<State>() as isize);
        let tools = lock().get(&call).copied();
        end.disable(tools.unwrap_or(0));
    }
}
