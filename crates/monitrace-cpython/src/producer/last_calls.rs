//! The call that a producer made last: what `C_RETURN` and `C_RAISE` tell of, which the C functions
//! are not given.
//!
//! A call is kept from `CALL` until its end is told, and only while somebody listens to ends. It must
//! not keep more than a few objects alive, however many calls have no end that is told.

use super::{Occurrence, Tools, way};
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
    /// The tools that have disabled it, which do not hear of its end.
    pub(super) disabled: Tools,
}

struct Kept {
    thread: u64,
    /// A weak reference, or the object itself if there can be none.
    code_like: Py<PyAny>,
    /// Its address, by which it is looked for: perhaps another's by now.
    address: usize,
    callable: Py<PyAny>,
    arg0: Option<Py<PyAny>>,
    disabled: Tools,
}

impl Kept {
    fn is_of(&self, occurrence: &Occurrence<'_, '_>) -> bool {
        (self.thread, self.address) == (way::thread(), occurrence.code_like.as_ptr() as usize)
    }

    fn drop_now(self, py: Python<'_>) {
        self.code_like.drop_ref(py);
        self.callable.drop_ref(py);
        if let Some(arg0) = self.arg0 {
            arg0.drop_ref(py);
        }
    }
}

/// As many calls may be under way at once, in all threads, before the oldest is forgotten.
const KEPT: usize = 256;

/// What is taken out of it is to be dropped without the lock.
static CALLS: Mutex<VecDeque<Kept>> = Mutex::new(VecDeque::new());
/// Whether there may be any: one load where nobody listens to ends.
static ANY: AtomicBool = AtomicBool::new(false);

fn lock() -> MutexGuard<'static, VecDeque<Kept>> {
    CALLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes this thread's last call of the code-like out.
fn remove(occurrence: &Occurrence<'_, '_>) -> Option<Kept> {
    if !ANY.load(Relaxed) {
        return None;
    }
    let mut calls = lock();
    let index = calls.iter().rposition(|kept| kept.is_of(occurrence))?;
    calls.remove(index)
}

/// Keeps what is called, in place of this code-like's call before. `disabled`: the tools that are not told
/// of it.
pub(super) fn remember(py: Python<'_>, occurrence: &Occurrence<'_, '_>, disabled: Tools) {
    let Payload::Call { callable, arg0 } = occurrence.payload else { return };
    if !way::ends_are_heard(py) {
        forget_all(py);
        return;
    }
    let code_like = match PyWeakrefReference::new(occurrence.code_like) {
        Ok(reference) => reference.into_any().unbind(),
        Err(_) => occurrence.code_like.clone().unbind(),
    };
    let kept = Kept {
        thread: way::thread(),
        code_like,
        address: occurrence.code_like.as_ptr() as usize,
        callable: callable.clone_ref(py),
        arg0: arg0.map(|arg0| arg0.clone_ref(py)),
        disabled,
    };
    let before = remove(occurrence);
    let oldest = {
        let mut calls = lock();
        calls.push_back(kept);
        ANY.store(true, Relaxed);
        if calls.len() > KEPT { calls.pop_front() } else { None }
    };
    for kept in [before, oldest].into_iter().flatten() {
        kept.drop_now(py);
    }
}

/// Who begins to listen must not be told of a call from before.
fn forget_all(py: Python<'_>) {
    if ANY.swap(false, Relaxed) {
        let calls = std::mem::take(&mut *lock());
        for kept in calls {
            kept.drop_now(py);
        }
    }
}

/// Notes that these tools have disabled the last call.
pub(super) fn disable(occurrence: &Occurrence<'_, '_>, tools: Tools) {
    if ANY.load(Relaxed)
        && let Some(kept) = lock().iter_mut().rfind(|kept| kept.is_of(occurrence))
    {
        kept.disabled |= tools;
    }
}

/// The last call of a code-like in this thread, which is not known any more then.
pub(super) fn take<'py>(py: Python<'py>, occurrence: &Occurrence<'_, 'py>) -> Option<LastCall<'py>> {
    let kept = remove(occurrence)?;
    let call = LastCall {
        callable: kept.callable.into_bound(py),
        arg0: kept.arg0.map(|arg0| arg0.into_bound(py)),
        disabled: kept.disabled,
    };
    let known = kept.code_like.into_bound(py);
    let is_its = match known.cast::<PyWeakrefReference>() {
        Ok(reference) => reference.upgrade().is_some_and(|alive| alive.is(occurrence.code_like)),
        Err(_) => known.is(occurrence.code_like),
    };
    is_its.then_some(call)
}
