//! The call that a producer made last: what `C_RETURN` and `C_RAISE` tell of, which the C functions
//! are not given.
//!
//! A call is kept from `CALL` until its end is told, and only while somebody listens to ends. It must
//! not keep more than a few objects alive, however many calls have no end that is told.

use super::{Occurrence, way};
use monitrace_core::Payload;
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A call that was told of, and may end.
pub(super) struct LastCall<'py> {
    pub(super) callable: Bound<'py, PyAny>,
    pub(super) arg0: Option<Bound<'py, PyAny>>,
}

struct Kept {
    thread: u64,
    /// A weak reference, or the object itself if there can be none.
    code_like: Py<PyAny>,
    /// Its address, by which it is looked for: perhaps another's by now.
    address: usize,
    callable: Py<PyAny>,
    arg0: Option<Py<PyAny>>,
}

/// As many calls may be under way at once, in all threads, before the oldest is forgotten.
const KEPT: usize = 256;

static CALLS: Mutex<VecDeque<Kept>> = Mutex::new(VecDeque::new());
/// Whether there may be any: calls whose ends nobody listens to take no lock.
static ANY: AtomicBool = AtomicBool::new(false);

fn lock() -> MutexGuard<'static, VecDeque<Kept>> {
    CALLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the calls that `which` says out. Their objects are to be dropped without the lock.
fn remove(which: impl Fn(&Kept) -> bool) -> Option<Kept> {
    if !ANY.load(Relaxed) {
        return None;
    }
    let mut calls = lock();
    let index = calls.iter().rposition(which)?;
    let kept = calls.remove(index);
    ANY.store(!calls.is_empty(), Relaxed);
    kept
}

fn drop_now(py: Python<'_>, kept: Option<Kept>) {
    if let Some(kept) = kept {
        kept.code_like.drop_ref(py);
        kept.callable.drop_ref(py);
        if let Some(arg0) = kept.arg0 {
            arg0.drop_ref(py);
        }
    }
}

/// Keeps what is called, in place of this code-like's call before.
pub(super) fn remember(py: Python<'_>, occurrence: &Occurrence<'_, '_>) {
    let Payload::Call { callable, arg0 } = occurrence.payload else { return };
    let (thread, address) = (way::thread(), occurrence.code_like.as_ptr() as usize);
    let before = remove(|kept| (kept.thread, kept.address) == (thread, address));
    drop_now(py, before);
    if !way::ends_are_heard(py) {
        return;
    }
    let code_like = match PyWeakrefReference::new(occurrence.code_like) {
        Ok(reference) => reference.into_any().unbind(),
        Err(_) => occurrence.code_like.clone().unbind(),
    };
    let kept = Kept {
        thread,
        code_like,
        address,
        callable: callable.clone_ref(py),
        arg0: arg0.map(|arg0| arg0.clone_ref(py)),
    };
    let oldest = {
        let mut calls = lock();
        calls.push_back(kept);
        ANY.store(true, Relaxed);
        if calls.len() > KEPT { calls.pop_front() } else { None }
    };
    drop_now(py, oldest);
}

/// The last call of a code-like in this thread, which is not known any more then.
pub(super) fn take<'py>(py: Python<'py>, code_like: &Bound<'py, PyAny>) -> Option<LastCall<'py>> {
    let (thread, address) = (way::thread(), code_like.as_ptr() as usize);
    let kept = remove(|kept| (kept.thread, kept.address) == (thread, address))?;
    let call =
        LastCall { callable: kept.callable.into_bound(py), arg0: kept.arg0.map(|arg0| arg0.into_bound(py)) };
    let known = kept.code_like.into_bound(py);
    let is_its = match known.cast::<PyWeakrefReference>() {
        Ok(reference) => reference.upgrade().is_some_and(|alive| alive.is(code_like)),
        Err(_) => known.is(code_like),
    };
    is_its.then_some(call)
}
