//! Local events of code-likes: objects that stand for code that is not Python's.
//!
//! It owns which tool wants which events of which code-like, on every version, since no interpreter
//! does. A [`CodeLike`] keeps its own; those of any other object are found by its address and go with it:
//! a weak reference says when. Setting and dying cost the same however many code-likes there are, and a
//! tool that is cleared is not looked for in them: they find out when they are asked. This must never
//! keep a code-like alive, nor know code objects.

use super::{CodeLike, Tools, WORDS};
use monitrace_core::{Event, EventSet, ToolId, ToolSet};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyWeakrefReference};
use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// Whether any code-like has local events: one load for everybody who has none.
static ANY: AtomicBool = AtomicBool::new(false);
/// The tools that want each event of some code-like.
static ANYWHERE: [AtomicU8; Event::COUNT] = [const { AtomicU8::new(0) }; Event::COUNT];
/// The tools that want each event of all code, as of the last scope that asked.
#[cfg(not(Py_3_12))]
static GLOBAL: [AtomicU8; Event::COUNT] = [const { AtomicU8::new(0) }; Event::COUNT];
/// How often each tool was cleared.
static CLEARED: [AtomicU64; ToolId::COUNT] = [const { AtomicU64::new(0) }; ToolId::COUNT];
/// How often any was.
static CLEARINGS: AtomicU64 = AtomicU64::new(0);

/// How many code-likes each tool wants each event of: what the words above sum up.
struct Counts {
    of: [[usize; ToolId::COUNT]; Event::COUNT],
    total: usize,
}

static COUNTS: Mutex<Counts> = Mutex::new(Counts { of: [[0; ToolId::COUNT]; Event::COUNT], total: 0 });

impl Counts {
    fn lock() -> MutexGuard<'static, Counts> {
        COUNTS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers whether the tool wants the event of some code-like for the first time.
    fn add(&mut self, event: Event, tool: ToolId) -> bool {
        let count = &mut self.of[event as usize][tool.index()];
        *count += 1;
        self.total += 1;
        let first = *count == 1;
        if first {
            ANYWHERE[event as usize].fetch_or(ToolSet::from(tool).bits(), Relaxed);
        }
        first
    }

    /// Answers whether the tool wants the event of no code-like any more.
    fn remove(&mut self, event: Event, tool: ToolId, code_likes: usize) -> bool {
        let count = &mut self.of[event as usize][tool.index()];
        let last = code_likes != 0 && *count == code_likes;
        *count -= code_likes;
        self.total -= code_likes;
        if last {
            ANYWHERE[event as usize].fetch_and(!ToolSet::from(tool).bits(), Relaxed);
        }
        last
    }

    /// Makes every scope ask again, after a change that its states show.
    fn publish(&self) {
        ANY.store(self.total != 0, Relaxed);
        WORDS.raise(self.total == 0);
    }
}

/// The local events of one code-like: for each event the tools that want it.
#[derive(Default)]
pub(super) struct LocalEvents {
    tools: [AtomicU8; Event::COUNT],
    /// How often each tool, and any, had been cleared when this was looked at last.
    cleared: [AtomicU64; ToolId::COUNT],
    clearings: AtomicU64,
}

impl LocalEvents {
    /// The tools that want an event.
    fn tools(&self, event: Event) -> Tools {
        if self.clearings.load(Relaxed) != CLEARINGS.load(Relaxed) {
            self.catch_up();
        }
        self.tools[event as usize].load(Relaxed)
    }

    /// Leaves out the tools that were cleared: they are not counted any more.
    #[cold]
    fn catch_up(&self) {
        self.clearings.store(CLEARINGS.load(Relaxed), Relaxed);
        for (tool, cleared) in ToolId::all().zip(&CLEARED) {
            let cleared = cleared.load(Relaxed);
            if self.cleared[tool.index()].swap(cleared, Relaxed) != cleared {
                for tools in &self.tools {
                    tools.fetch_and(!ToolSet::from(tool).bits(), Relaxed);
                }
            }
        }
    }

    /// What a tool is told of.
    fn of(&self, tool: ToolId) -> EventSet {
        let bit = ToolSet::from(tool).bits();
        Event::ALL.iter().copied().filter(|&event| self.tools(event) & bit != 0).collect()
    }

    fn are_none(&self) -> bool {
        ToolId::all().all(|tool| self.of(tool).is_empty())
    }

    /// Answers the events that the tool did not want before. `slots`: they may be disabled in scopes.
    fn set(&self, tool: ToolId, events: EventSet, slots: bool) -> EventSet {
        let mut counts = Counts::lock();
        let (before, now) = (self.of(tool), heard(events));
        let (fresh, gone) = (now - before, before - now);
        let bit = ToolSet::from(tool).bits();
        let mut shows = slots && !fresh.is_empty();
        for event in fresh.events() {
            self.tools[event as usize].fetch_or(bit, Relaxed);
            shows |= counts.add(event, tool);
        }
        for event in gone.events() {
            self.tools[event as usize].fetch_and(!bit, Relaxed);
            shows |= counts.remove(event, tool, 1);
        }
        if shows {
            counts.publish();
        }
        fresh
    }
}

impl Drop for LocalEvents {
    /// The code-like died.
    fn drop(&mut self) {
        for tool in ToolId::all() {
            if !self.of(tool).is_empty() {
                self.set(tool, EventSet::empty(), false);
            }
        }
    }
}

/// A code-like of another type than ours.
struct Foreign {
    /// Calls [`forget`] when the object dies; held for that.
    reference: Py<PyWeakrefReference>,
    /// Tells it from an object that had the address before.
    number: u64,
    events: LocalEvents,
}

#[derive(Default)]
struct Foreigners {
    by_address: HashMap<usize, Foreign>,
    next_number: u64,
}

static FOREIGNERS: LazyLock<Mutex<Foreigners>> = LazyLock::new(Mutex::default);

impl Foreigners {
    fn lock() -> MutexGuard<'static, Foreigners> {
        FOREIGNERS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn events(&self, object: &Bound<'_, PyAny>) -> Option<&LocalEvents> {
        self.by_address.get(&(object.as_ptr() as usize)).map(|foreign| &foreign.events)
    }
}

/// Drops what was taken out, without the lock: destructors run the program.
fn drop_now(py: Python<'_>, foreign: Option<Foreign>) {
    if let Some(foreign) = foreign {
        foreign.reference.drop_ref(py);
    }
}

/// Who wants `CALL` is told how it ends.
pub(crate) fn heard(set: EventSet) -> EventSet {
    if set.contains(EventSet::CALL) { set | ANCILLARY } else { set }
}

const ANCILLARY: EventSet = EventSet::C_RETURN.union(EventSet::C_RAISE);

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
    let events = match CodeLike::of(object) {
        Some(code_like) => code_like.local_events().of(tool),
        None => Foreigners::lock().events(object).map_or(EventSet::empty(), |events| events.of(tool)),
    };
    events - ANCILLARY
}

/// Sets the events that a tool wants of a code-like.
///
/// # Errors
/// `TypeError` if the object cannot be weakly referenced.
pub(crate) fn set_local_events(object: &Bound<'_, PyAny>, tool: ToolId, events: EventSet) -> PyResult<()> {
    match CodeLike::of(object) {
        Some(code_like) => {
            let fresh = code_like.local_events().set(tool, events, code_like.disabled().is_none());
            if let Some(disabled) = code_like.disabled() {
                disabled.enable(tool, fresh);
            }
            Ok(())
        }
        None => set_foreign(object, tool, events),
    }
}

fn set_foreign(object: &Bound<'_, PyAny>, tool: ToolId, events: EventSet) -> PyResult<()> {
    let py = object.py();
    let address = object.as_ptr() as usize;
    let known = Foreigners::lock().by_address.contains_key(&address);
    let mut fresh = None;
    if !known {
        if events.is_empty() {
            return Ok(());
        }
        let number = {
            let mut foreigners = Foreigners::lock();
            foreigners.next_number += 1;
            foreigners.next_number
        };
        // Without the lock: making objects may collect garbage, and thereby run anything.
        let on_death = PyCFunction::new_closure(py, None, None, move |args, _| {
            forget(args.py(), address, number);
        })?;
        let reference = PyWeakrefReference::new_with(object, on_death)?.unbind();
        fresh = Some(Foreign { reference, number, events: LocalEvents::default() });
    }
    let (unused, removed) = {
        let mut foreigners = Foreigners::lock();
        let unused = fresh.and_then(|fresh| match foreigners.by_address.entry(address) {
            // Meanwhile another thread has made one.
            Occupied(_) => Some(fresh),
            Vacant(place) => {
                place.insert(fresh);
                None
            }
        });
        let is_empty = foreigners.events(object).is_some_and(|known| {
            known.set(tool, events, true);
            known.are_none()
        });
        let removed = if is_empty { foreigners.by_address.remove(&address) } else { None };
        (unused, removed)
    };
    drop_now(py, unused);
    drop_now(py, removed);
    Ok(())
}

/// The object under an address died.
fn forget(py: Python<'_>, address: usize, number: u64) {
    let removed = {
        let mut foreigners = Foreigners::lock();
        let is_it = foreigners.by_address.get(&address).is_some_and(|foreign| foreign.number == number);
        if is_it { foreigners.by_address.remove(&address) } else { None }
    };
    drop_now(py, removed);
}

/// A tool was cleared: it wants nothing of any code-like, and has disabled nothing there.
pub(crate) fn clear(tool: ToolId) {
    let mut counts = Counts::lock();
    CLEARED[tool.index()].fetch_add(1, Relaxed);
    CLEARINGS.fetch_add(1, Relaxed);
    let mut shows = false;
    for &event in Event::ALL {
        let code_likes = counts.of[event as usize][tool.index()];
        shows |= counts.remove(event, tool, code_likes);
    }
    if shows {
        counts.publish();
    }
}

/// How often tools were cleared.
pub(super) fn clearings() -> u64 {
    CLEARINGS.load(Relaxed)
}

pub(super) fn none_has_local_events() -> bool {
    !ANY.load(Relaxed)
}

/// The tools that want an event of some code-like.
pub(super) fn tools_anywhere(event: Event) -> Tools {
    ANYWHERE[event as usize].load(Relaxed)
}

/// Notes who wants each event of all code.
#[cfg(not(Py_3_12))]
pub(super) fn note_global(tools: &[Tools; Event::COUNT]) {
    for (noted, tools) in GLOBAL.iter().zip(tools) {
        noted.store(*tools, Relaxed);
    }
}

/// The tools that want an event of all code or of some code-like, as of the last scope that asked.
#[cfg(not(Py_3_12))]
pub(crate) fn listeners(event: Event) -> Tools {
    GLOBAL[event as usize].load(Relaxed) | tools_anywhere(event)
}

/// The tools that want an event of this code-like, which is one of ours or not.
pub(super) fn tools(object: &Bound<'_, PyAny>, code_like: Option<&CodeLike>, event: Event) -> Tools {
    match code_like {
        Some(code_like) => code_like.local_events().tools(event),
        None => Foreigners::lock().events(object).map_or(0, |events| events.tools(event)),
    }
}
