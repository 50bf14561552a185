//! Local events of code-likes: objects that stand for code that is not Python's.
//!
//! It owns which tool wants which events of which code-like, on every version, since no interpreter
//! does. An entry is found by the object's address and goes with the object: a weak reference says
//! when. It must never keep a code-like alive, nor know code objects.

use super::{Occurrence, Tools, WORDS, way};
use monitrace_core::{Event, EventSet, ToolId, ToolSet};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyWeakrefReference};
use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

struct Entry {
    /// Calls [`forget`] when the object dies; held for that.
    reference: Py<PyWeakrefReference>,
    /// Tells the entry from that of an object that had the address before.
    number: u64,
    sets: [EventSet; ToolId::COUNT],
}

#[derive(Default)]
struct CodeLikes {
    entries: HashMap<usize, Entry>,
    next_number: u64,
}

static CODE_LIKES: LazyLock<Mutex<CodeLikes>> = LazyLock::new(Mutex::default);
/// Whether any code-like has local events: one load for everybody who has none.
static ANY: AtomicBool = AtomicBool::new(false);
/// The tools that want each event of some code-like.
static ANYWHERE: [AtomicU8; Event::COUNT] = [const { AtomicU8::new(0) }; Event::COUNT];
/// The tools that want each event of all code, as of the last scope that asked.
static GLOBAL: [AtomicU8; Event::COUNT] = [const { AtomicU8::new(0) }; Event::COUNT];

fn lock() -> MutexGuard<'static, CodeLikes> {
    CODE_LIKES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CodeLikes {
    /// After every change: sums it up for those who look without the lock.
    fn publish(&self) {
        let mut anywhere = [ToolSet::EMPTY; Event::COUNT];
        for (tool, set) in self.entries.values().flat_map(|entry| ToolId::all().zip(entry.sets)) {
            for event in heard(set).events() {
                anywhere[event as usize] = anywhere[event as usize].with(tool);
            }
        }
        for (published, tools) in ANYWHERE.iter().zip(anywhere) {
            published.store(tools.bits(), Relaxed);
        }
        let none = self.entries.is_empty();
        ANY.store(!none, Relaxed);
        WORDS.raise(none);
    }
}

/// Who wants `CALL` is told how it ends.
pub(crate) fn heard(set: EventSet) -> EventSet {
    if set.contains(EventSet::CALL) { set | EventSet::C_RETURN | EventSet::C_RAISE } else { set }
}

/// Whether an object can stand for a code object: it has a name, a file and a first line.
///
/// # Errors
/// `TypeError` if not.
pub(crate) fn check(object: &Bound<'_, PyAny>) -> PyResult<()> {
    for attribute in ["co_name", "co_filename", "co_firstlineno"] {
        if !object.hasattr(attribute)? {
            return Err(PyTypeError::new_err("code must be a code object"));
        }
    }
    Ok(())
}

/// The events that a tool wants of a code-like.
pub(crate) fn local_events(object: &Bound<'_, PyAny>, tool: ToolId) -> EventSet {
    lock()
        .entries
        .get(&(object.as_ptr() as usize))
        .map_or(EventSet::empty(), |entry| entry.sets[tool.index()])
}

/// Sets the events that a tool wants of a code-like.
///
/// # Errors
/// `TypeError` if the object cannot be weakly referenced.
pub(crate) fn set_local_events(object: &Bound<'_, PyAny>, tool: ToolId, events: EventSet) -> PyResult<()> {
    let py = object.py();
    let address = object.as_ptr() as usize;
    if none_has_local_events() {
        // Scopes that are entered now tell of events of all code until they ask again.
        note_global(&way::tools(py)?.1);
    }
    let known = lock().entries.contains_key(&address);
    let mut fresh = None;
    if !known {
        if events.is_empty() {
            return Ok(());
        }
        let number = {
            let mut code_likes = lock();
            code_likes.next_number += 1;
            code_likes.next_number
        };
        // Without the lock: making objects may collect garbage, and thereby run anything.
        let on_death = PyCFunction::new_closure(py, None, None, move |args, _| {
            forget(args.py(), address, number);
        })?;
        fresh = Some((PyWeakrefReference::new_with(object, on_death)?.unbind(), number));
    }
    let (unused, removed) = {
        let mut code_likes = lock();
        let mut unused = None;
        if let Some((reference, number)) = fresh {
            // Meanwhile another thread may have made one.
            match code_likes.entries.entry(address) {
                Occupied(_) => unused = Some(reference),
                Vacant(place) => {
                    place.insert(Entry { reference, number, sets: [EventSet::empty(); ToolId::COUNT] });
                }
            }
        }
        let mut removed = None;
        if let Some(entry) = code_likes.entries.get_mut(&address) {
            let changed = std::mem::replace(&mut entry.sets[tool.index()], events) != events;
            if entry.sets.iter().all(|set| set.is_empty()) {
                removed = code_likes.entries.remove(&address);
            }
            if changed {
                code_likes.publish();
            }
        }
        (unused, removed)
    };
    for reference in [unused, removed.map(|entry| entry.reference)].into_iter().flatten() {
        reference.drop_ref(py);
    }
    Ok(())
}

/// The object under an address died.
fn forget(py: Python<'_>, address: usize, number: u64) {
    let removed = {
        let mut code_likes = lock();
        let is_it = code_likes.entries.get(&address).is_some_and(|entry| entry.number == number);
        let removed = is_it.then(|| code_likes.entries.remove(&address)).flatten();
        if removed.is_some() {
            code_likes.publish();
        }
        removed
    };
    if let Some(entry) = removed {
        entry.reference.drop_ref(py);
    }
}

/// A tool was cleared: it wants nothing of any code-like.
pub(crate) fn clear(py: Python<'_>, tool: ToolId) {
    let removed: Vec<Entry> = {
        let mut code_likes = lock();
        let mut changed = false;
        for entry in code_likes.entries.values_mut() {
            changed |= !std::mem::take(&mut entry.sets[tool.index()]).is_empty();
        }
        let removed = code_likes
            .entries
            .extract_if(|_, entry| entry.sets.iter().all(|set| set.is_empty()))
            .map(|(_, entry)| entry)
            .collect();
        if changed {
            code_likes.publish();
        }
        removed
    };
    for entry in removed {
        entry.reference.drop_ref(py);
    }
}

pub(super) fn none_has_local_events() -> bool {
    !ANY.load(Relaxed)
}

/// The tools that want an event of some code-like.
pub(super) fn tools_anywhere(event: Event) -> Tools {
    ANYWHERE[event as usize].load(Relaxed)
}

/// Notes who wants each event of all code.
pub(super) fn note_global(tools: &[Tools; Event::COUNT]) {
    for (noted, tools) in GLOBAL.iter().zip(tools) {
        noted.store(*tools, Relaxed);
    }
}

#[cfg(not(Py_3_12))]
/// The tools that want an event of all code or of some code-like, as of the last scope that asked.
pub(crate) fn listeners(event: Event) -> Tools {
    GLOBAL[event as usize].load(Relaxed) | tools_anywhere(event)
}

/// Of the tools of a state, those that want this event of this code-like.
pub(super) fn filter(tools: Tools, occurrence: &Occurrence<'_, '_>) -> Tools {
    if none_has_local_events() {
        return tools;
    }
    let sets = lock()
        .entries
        .get(&(occurrence.code_like.as_ptr() as usize))
        .map_or([EventSet::empty(); ToolId::COUNT], |entry| entry.sets);
    let mut wanted = GLOBAL[occurrence.event as usize].load(Relaxed);
    for (tool, set) in ToolId::all().zip(sets) {
        if heard(set).contains(occurrence.event.set()) {
            wanted |= ToolSet::from(tool).bits();
        }
    }
    tools & wanted
}
