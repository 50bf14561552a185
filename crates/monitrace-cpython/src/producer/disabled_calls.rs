//! Calls that are disabled in a state: a tool that did that is not told how they end either.
//!
//! The end of a call has a state of its own. So entering a scope ties it to the call's: where the scope
//! has as many states for the one as for the other, they belong together in their order. This owns the
//! ties, and which tools have disabled which call. It knows states by their addresses alone, and must
//! never follow one: a producer moves and frees its states without a word.

use super::{State, Tools};
use crate::event_ids;
use monitrace_core::Event;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// Both by the addresses of states.
#[derive(Default)]
struct Calls {
    /// The call that an end belongs to.
    ties: HashMap<usize, usize>,
    /// The tools that have disabled a call.
    disabled: HashMap<usize, Tools>,
}

static CALLS: LazyLock<Mutex<Calls>> = LazyLock::new(Mutex::default);
/// Whether any call may be disabled: one load where none is.
static ANY: AtomicBool = AtomicBool::new(false);

/// With so many ties all are forgotten, since those of freed states never are.
const KEPT: usize = 1 << 16;

fn lock() -> MutexGuard<'static, Calls> {
    CALLS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn address(state: &State) -> usize {
    std::ptr::from_ref(state).addr()
}

/// Ties the states of a scope that were filled right now, where nothing is disabled any more.
pub(super) fn tie(states: &[State], ids: &[u8]) {
    let slots = |event| {
        let id = event_ids::id(event);
        ids.iter().zip(states).filter(move |&(&other, _)| other == id).map(|(_, state)| state)
    };
    for end in [Event::CReturn, Event::CRaise] {
        // Nobody can disable a call that nobody hears of.
        if slots(Event::Call).all(|call| call.active() == 0)
            || slots(end).count() != slots(Event::Call).count()
        {
            continue;
        }
        let mut calls = lock();
        if calls.ties.len() >= KEPT {
            *calls = Calls::default();
        }
        for (end, call) in slots(end).zip(slots(Event::Call)) {
            calls.ties.insert(address(end), address(call));
            calls.disabled.remove(&address(call));
        }
        ANY.store(!calls.disabled.is_empty(), Relaxed);
    }
}

/// Notes that these tools have disabled a call.
pub(super) fn note(call: &State, tools: Tools) {
    let mut calls = lock();
    if calls.disabled.len() >= KEPT {
        calls.disabled.clear();
    }
    *calls.disabled.entry(address(call)).or_default() |= tools;
    ANY.store(true, Relaxed);
}

/// Takes the tools out of the state of an end that have disabled its call.
pub(super) fn silence(end: &State) {
    if ANY.load(Relaxed) {
        let calls = lock();
        let call = calls.ties.get(&address(end));
        end.disable(call.and_then(|call| calls.disabled.get(call)).copied().unwrap_or(0));
    }
}
