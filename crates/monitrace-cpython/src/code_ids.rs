//! Gives every code object a number that no other ever has.
//!
//! An address is not enough: CPython hands it out again as soon as a code object dies, and a tool
//! that remembers something under it would then tell of the wrong code. Nothing here may keep a
//! code object alive, or grow beyond the code objects that live.

use monitrace_core::CodeId;
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

struct Known {
    code: Py<PyWeakrefReference>,
    id: CodeId,
}

struct Ids {
    by_address: HashMap<usize, Known>,
    next: usize,
    /// How many entries there may be before the dead ones are looked for.
    sweep_at: usize,
}

const FIRST_SWEEP: usize = 4096;

static IDS: LazyLock<Mutex<Ids>> =
    LazyLock::new(|| Mutex::new(Ids { by_address: HashMap::new(), next: 0, sweep_at: FIRST_SWEEP }));

/// The number of a code object, the same for as long as it lives and never given to another.
///
/// # Errors
/// If no weak reference to `code` can be made; those to code objects always can, memory permitting.
pub fn code_id(code: &Bound<'_, PyAny>) -> PyResult<CodeId> {
    let py = code.py();
    let address = code.as_ptr() as usize;
    let lock = || IDS.lock().unwrap_or_else(PoisonError::into_inner);
    // Alive at this address means that it is this one.
    let known = |ids: &Ids| {
        let known = ids.by_address.get(&address)?;
        known.code.bind(py).upgrade().map(|_| known.id)
    };
    if let Some(id) = known(&lock()) {
        return Ok(id);
    }
    // Made without the lock: making it may collect garbage, and thereby run anything.
    let reference = PyWeakrefReference::new(code)?.unbind();
    let mut dead = Vec::new();
    let mut ids = lock();
    if let Some(id) = known(&ids) {
        return Ok(id);
    }
    let id = CodeId(ids.next);
    ids.next += 1;
    dead.extend(ids.by_address.insert(address, Known { code: reference, id }));
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
    Ok(id)
}
