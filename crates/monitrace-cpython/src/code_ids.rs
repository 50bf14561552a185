//! Gives every code object a number that no other object ever has, and so every other object that
//! events are made for.
//!
//! An address is not enough: CPython hands it out again as soon as a code object dies, and a tool
//! that remembers something under it would then tell of the wrong code. Nothing here may keep an
//! object alive, or grow beyond the objects that live.

use monitrace_core::CodeId;
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, PoisonError};

struct Known {
    code: Py<PyWeakrefReference>,
    id: CodeId,
}

struct Ids {
    by_address: HashMap<usize, Known>,
    /// How many entries there may be before the dead ones are looked for.
    sweep_at: usize,
}

const FIRST_SWEEP: usize = 4096;

static IDS: LazyLock<Mutex<Ids>> =
    LazyLock::new(|| Mutex::new(Ids { by_address: HashMap::new(), sweep_at: FIRST_SWEEP }));

/// A number that was never given before.
pub(crate) fn next() -> CodeId {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    CodeId(NEXT.fetch_add(1, Relaxed))
}

/// The number of an object, the same for as long as it lives and never given to another. An object
/// to which no weak reference can be made gets a new one each time: nothing would tell when its
/// address is another's. Those to code objects always can be made, memory permitting.
pub(crate) fn code_id(code: &Bound<'_, PyAny>) -> CodeId {
    // There a code object has a record, and its number stands in that.
    #[cfg(not(Py_3_12))]
    if let Some(id) = crate::instrument::number_of(code) {
        return id;
    }
    let py = code.py();
    let address = code.as_ptr() as usize;
    let lock = || IDS.lock().unwrap_or_else(PoisonError::into_inner);
    // Alive at this address means that it is this one.
    let known = |ids: &Ids| {
        let known = ids.by_address.get(&address)?;
        known.code.bind(py).upgrade().map(|_| known.id)
    };
    if let Some(id) = known(&lock()) {
        return id;
    }
    // Made without the lock: making it may collect garbage, and thereby run anything.
    let Ok(reference) = PyWeakrefReference::new(code) else {
        return next();
    };
    let mut dead = Vec::new();
    let mut ids = lock();
    if let Some(id) = known(&ids) {
        return id;
    }
    let id = next();
    dead.extend(ids.by_address.insert(address, Known { code: reference.unbind(), id }));
    if ids.by_address.len() >= ids.sweep_at {
        dead.extend(
            ids.by_address
                .extract_if(|_, known| known.code.bind(py).upgrade().is_none())
                .map(|(_, known)| known),
        );
        ids.sweep_at = FIRST_SWEEP.max(ids.by_address.len() * 2);
    }
    drop(ids);
    drop(dead);
    id
}
