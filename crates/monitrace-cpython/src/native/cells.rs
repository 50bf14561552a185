//! 3.12 and later: finds where the interpreter keeps the callbacks of `sys.monitoring`, and on 3.12
//! the version of the events, so that events that C code makes reach the tools that are registered.
//!
//! No function of the interpreter tells either. So the search changes them through `sys.monitoring`
//! and looks which words of the interpreter state changed. It reads nothing beyond that state, writes
//! nothing to it, and puts back all that it changed; what it cannot tell for sure it refuses.

#![allow(unsafe_code)]

use super::own;
use super::quiet::Thread;
use crate::event_ids;
use monitrace_core::{Event, ToolId};
use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// How many bytes of the interpreter state are searched: all of it, whose size the interpreter tells
/// debuggers. `None` if that is not told as it is expected.
#[cfg(Py_3_13)]
pub fn searched() -> Option<usize> {
    use crate::ffi::debug_offsets::{_PyRuntime, COOKIE};
    #[allow(clippy::unnecessary_cast, reason = "a C long is shorter elsewhere")]
    // SAFETY: statics of the interpreter that runs, which nobody writes to any more.
    let (offsets, version) = unsafe { ((&raw const _PyRuntime).read(), ffi::Py_Version as u64) };
    let is_known = offsets.cookie == COOKIE && offsets.version == version;
    is_known.then_some(offsets.interpreter_state_size as usize)
}

/// How many bytes of the interpreter state are searched. 3.12 does not tell its size: this lies between
/// the end of the callbacks and the end of the state by the headers that `tests/cells.rs` has asked,
/// with 336 bytes of room before it and 344 behind for the version's other releases.
#[cfg(not(Py_3_13))]
pub fn searched() -> Option<usize> {
    Some(383_208)
}

const WORD: usize = size_of::<usize>();

/// The ids of the first and the last event whose callbacks are kept as they are registered: from
/// 3.14 on those of branches are wrapped, and the deprecated `BRANCH` comes last.
const FIRST: u8 = id(Event::PyStart);
const LAST: u8 = id(Event::CRaise);

/// The cells by which the table is known: those at the corners, and one of each other tool.
const LANDMARKS: [(usize, u8); 8] = [
    (0, FIRST),
    (0, LAST),
    (5, FIRST),
    (5, LAST),
    (1, id(Event::PyYield)),
    (2, id(Event::Line)),
    (3, id(Event::Raise)),
    (4, id(Event::CReturn)),
];

const fn id(event: Event) -> u8 {
    event_ids::bit(event).trailing_zeros() as u8
}

fn refusal() -> PyErr {
    PyImportError::new_err(
        "monitrace cannot find where this interpreter keeps the callbacks of sys.monitoring",
    )
}

static FOUND: OnceLock<Cells> = OnceLock::new();

/// The search that is under way. Audit hooks run in the middle of it, and let other threads run: a
/// second search would take the first one's stand-ins for callbacks, and waiting for the first could
/// last forever.
struct Search;

static SEARCHING: AtomicBool = AtomicBool::new(false);

impl Search {
    fn begin() -> PyResult<Search> {
        if SEARCHING.swap(true, Relaxed) {
            return Err(PyImportError::new_err(
                "monitrace is being set up already, by another thread or around this audit hook",
            ));
        }
        Ok(Search)
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        SEARCHING.store(false, Relaxed);
    }
}

/// Where the interpreter keeps the callbacks of tools. Offsets in bytes, from the beginning of the
/// interpreter state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cells {
    table: usize,
    #[cfg(not(Py_3_13))]
    version: usize,
}

impl Cells {
    /// Finds them, once in a process.
    ///
    /// # Errors
    /// `ImportError` if they are not found for sure, or are looked for at this moment; whatever an
    /// audit hook raises.
    pub fn find(py: Python<'_>) -> PyResult<&'static Cells> {
        if let Some(found) = Cells::found() {
            return Ok(found);
        }
        // Not within the initialisation, in which nobody may wait for an audit hook.
        let cells = Cells::search(py)?;
        Ok(FOUND.get_or_init(|| cells))
    }

    /// What [`Cells::find`] has found.
    pub fn found() -> Option<&'static Cells> {
        FOUND.get()
    }

    /// As [`Cells::find`], anew.
    ///
    /// # Errors
    /// As for [`Cells::find`].
    pub fn search(py: Python<'_>) -> PyResult<Cells> {
        // Elsewhere locks and numbers have other sizes, and nobody has measured them.
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            return Err(refusal());
        }
        let _search = Search::begin()?;
        let state = State::of(py)?;
        Ok(Cells {
            table: find_table(py, &state)?,
            #[cfg(not(Py_3_13))]
            version: find_version(py, &state)?,
        })
    }

    /// The callback of a tool for an event, by the interpreter's own number of the event. What the
    /// interpreter wraps (callbacks of branches, from 3.14 on) comes wrapped.
    pub fn callback<'py>(&self, py: Python<'py>, tool: ToolId, event_id: u8) -> Option<Bound<'py, PyAny>> {
        self.callback_in(py, Thread::current(py), tool, event_id)
    }

    /// The same in a thread that is known.
    #[inline]
    pub(super) fn callback_in<'py>(
        &self,
        py: Python<'py>,
        thread: Thread<'py>,
        tool: ToolId,
        event_id: u8,
    ) -> Option<Bound<'py, PyAny>> {
        if usize::from(event_id) >= event_ids::COUNT {
            return None;
        }
        let offset = self.table + cell(tool.index(), event_id);
        // SAFETY: the table was found within the state, with all its cells. A cell holds NULL or a
        // reference of its own (`find_table` made sure that it is a cell), and nobody changes it while
        // this thread holds the GIL.
        unsafe {
            let callback = ptr::with_exposed_provenance_mut(word(thread.interpreter().cast(), offset));
            Bound::from_borrowed_ptr_or_opt(py, callback)
        }
    }

    /// Takes the callback of a tool for an event away and returns it, as the interpreter does with
    /// one that answers `DISABLE` where that is not allowed.
    ///
    /// # Errors
    /// Whatever an audit hook raises; `ValueError` for an event that the interpreter does not know.
    pub fn take<'py>(
        &self,
        py: Python<'py>,
        tool: ToolId,
        event_id: u8,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let none = py.None().into_bound(py);
        let taken = register(py, tool.index(), event_id, &none)?;
        Ok(if taken.is_none() { None } else { Some(taken) })
    }

    /// How far into the interpreter state the callbacks begin.
    pub fn offset(&self) -> usize {
        self.table
    }

    /// The version of the events: it rises with each change of a tool's events for all code.
    #[cfg(not(Py_3_13))]
    pub fn version(&self, py: Python<'_>) -> u64 {
        // SAFETY: it was found within the state.
        unsafe { word(start(py), self.version) as u64 }
    }

    /// Where the version is, for reading with the GIL held.
    #[cfg(not(Py_3_13))]
    pub fn version_address(&self, py: Python<'_>) -> *const u64 {
        start(py).wrapping_byte_add(self.version).cast()
    }

    /// How far into the interpreter state the version is.
    #[cfg(not(Py_3_13))]
    pub fn version_offset(&self) -> usize {
        self.version
    }
}

/// How far into the table the callback of a tool for an event is.
const fn cell(tool: usize, event_id: u8) -> usize {
    WORD * (event_ids::COUNT * tool + event_id as usize)
}

/// The beginning of the state of the interpreter that runs this.
fn start(_py: Python<'_>) -> *const usize {
    // SAFETY: the token says that this thread is attached to an interpreter.
    unsafe { ffi::PyInterpreterState_Get() }.cast_const().cast()
}

/// The word that is so many bytes into the state of an interpreter.
///
/// # Safety
/// There is one: `offset` is a multiple of its size, and within the state, of whose beginning `start` is
/// the address.
unsafe fn word(start: *const usize, offset: usize) -> usize {
    // SAFETY: the caller's promise; the state is aligned to words. Volatile, since the interpreter
    // writes to it behind the compiler's back.
    unsafe { start.byte_add(offset).read_volatile() }
}

/// What is searched of the state of the interpreter that runs this.
#[derive(Clone, Copy)]
struct State<'py> {
    py: Python<'py>,
    size: usize,
}

impl<'py> State<'py> {
    fn of(py: Python<'py>) -> PyResult<State<'py>> {
        Ok(State { py, size: searched().ok_or_else(refusal)? })
    }

    /// The word that is so many bytes into the state.
    fn word(&self, offset: usize) -> usize {
        assert!(offset.is_multiple_of(WORD) && offset + WORD <= self.size, "within the interpreter state");
        // SAFETY: asserted; the state is not shorter than what is searched, says `tests/cells.rs`.
        unsafe { word(start(self.py), offset) }
    }

    /// Where words are, down to so many bytes before the end.
    fn offsets(&self, room: usize) -> impl Iterator<Item = usize> + use<> {
        (0..=self.size.saturating_sub(room)).step_by(WORD)
    }
}

/// Stands in for a callback while it is looked for. It passes everything on, since an audit hook may
/// let other threads run in the middle of the search.
#[pyclass(frozen, module = "monitrace._native")]
struct StandIn {
    before: PyOnceLock<Py<PyAny>>,
}

#[pymethods]
impl StandIn {
    #[pyo3(signature = (*arguments))]
    fn __call__(&self, arguments: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        let py = arguments.py();
        self.before.get(py).map_or_else(|| Ok(py.None()), |before| before.call1(py, arguments))
    }
}

/// A cell that a stand-in was put into.
struct Landmark<'py> {
    tool: usize,
    event_id: u8,
    stand_in: Bound<'py, StandIn>,
}

impl<'py> Landmark<'py> {
    fn set(py: Python<'py>, tool: usize, event_id: u8) -> PyResult<Landmark<'py>> {
        let stand_in = Bound::new(py, StandIn { before: PyOnceLock::new() })?;
        let before = register(py, tool, event_id, stand_in.as_any())?;
        // In time: audit hooks run before the callback is put there, and nothing has run since.
        if !before.is_none() {
            let _ = stand_in.get().before.set(py, before.unbind());
        }
        Ok(Landmark { tool, event_id, stand_in })
    }

    /// Takes the stand-in away. Answers what is there now.
    fn clear(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let before = self.stand_in.get().before.get(py);
        let before = before.map_or_else(|| py.None(), |before| before.clone_ref(py)).into_bound(py);
        let there = register(py, self.tool, self.event_id, &before)?;
        if there.is(&self.stand_in) {
            return Ok(before);
        }
        // An audit hook, or a thread that it let run, registered another meanwhile: that one stays.
        register(py, self.tool, self.event_id, &there)?;
        Ok(there)
    }

    fn offset(&self) -> usize {
        cell(self.tool, self.event_id)
    }
}

fn register<'py>(
    py: Python<'py>,
    tool: usize,
    event_id: u8,
    callback: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    // A number that no event has becomes one that is no event's bit either.
    let event = 1_u32.checked_shl(u32::from(event_id)).unwrap_or_default();
    own::call(py, intern!(py, "register_callback"), (tool, event, callback))
}

/// Where in the interpreter state the callbacks are.
fn find_table(py: Python<'_>, state: &State<'_>) -> PyResult<usize> {
    let mut landmarks = Vec::new();
    let set = LANDMARKS.iter().try_for_each(|&(tool, event_id)| {
        Landmark::set(py, tool, event_id).map(|landmark| landmarks.push(landmark))
    });
    let table = set.map(|()| locate(state, &landmarks));
    // All are cleared, whatever failed.
    let cleared: Vec<_> = landmarks.iter().map(|landmark| landmark.clear(py)).collect();
    let cleared = cleared.into_iter().collect::<PyResult<Vec<_>>>();
    let (table, cleared) = (table?.ok_or_else(refusal)?, cleared?);
    let agrees = landmarks.iter().zip(&cleared).all(|(landmark, there)| {
        let expected = if there.is_none() { 0 } else { there.as_ptr().addr() };
        state.word(table + landmark.offset()) == expected
    });
    if agrees { Ok(table) } else { Err(refusal()) }
}

/// The only place where a table can begin that has all the landmarks.
fn locate(state: &State<'_>, landmarks: &[Landmark<'_>]) -> Option<usize> {
    let whole = cell(ToolId::COUNT, 0);
    let is_there = |table: usize| {
        landmarks
            .iter()
            .all(|landmark| state.word(table + landmark.offset()) == landmark.stand_in.as_ptr().addr())
    };
    let mut tables = state.offsets(whole).filter(|&table| is_there(table));
    let table = tables.next()?;
    tables.next().is_none().then_some(table)
}

/// Where in the interpreter state the version of the events is.
#[cfg(not(Py_3_13))]
fn find_version(py: Python<'_>, state: &State<'_>) -> PyResult<usize> {
    let mut free = None;
    for tool in ToolId::all() {
        if free.is_none() && own::call(py, intern!(py, "get_tool"), (tool.index(),))?.is_none() {
            free = Some(tool);
        }
    }
    // If none is free, any will do: its events will be as they were.
    let tool = free.unwrap_or(ToolId::DEBUGGER).index();
    let events: u32 = own::call(py, intern!(py, "get_events"), (tool,))?.extract()?;
    if free.is_some() {
        own::call(py, intern!(py, "use_tool_id"), (tool, "monitrace"))?;
    }
    let version = follow_version(py, state, tool, events);
    let reset = own::call(py, intern!(py, "set_events"), (tool, events));
    if free.is_some() {
        own::call(py, intern!(py, "free_tool_id"), (tool,))?;
    }
    reset?;
    version?.ok_or_else(refusal)
}

/// The only word that rises by one with each change of events, and not else.
///
/// The event that is changed is `PY_THROW`: no code is rewritten for it and no location of it can be
/// disabled. It cannot happen either, since no Python code runs meanwhile: these functions have no
/// audit hooks.
#[cfg(not(Py_3_13))]
fn follow_version(
    py: Python<'_>,
    state: &State<'_>,
    tool: usize,
    mut events: u32,
) -> PyResult<Option<usize>> {
    let mut candidates: Vec<_> = state.offsets(WORD).map(|offset| (offset, state.word(offset))).collect();
    for changes in [1, 2, 0, 3] {
        for _ in 0..changes {
            events ^= event_ids::bit(Event::PyThrow);
            own::call(py, intern!(py, "set_events"), (tool, events))?;
        }
        // The same events again are no change.
        own::call(py, intern!(py, "set_events"), (tool, events))?;
        candidates.retain_mut(|(offset, before)| {
            let now = state.word(*offset);
            let rise = now.wrapping_sub(*before);
            *before = now;
            rise == changes
        });
    }
    Ok(match candidates[..] {
        [(offset, _)] => Some(offset),
        _ => None,
    })
}
