//! 3.12 and 3.13: tells the two sides of a branch apart, where the interpreter has one event.
//!
//! Left is the side that goes on with the instruction behind the branch, right the side that
//! jumps, as on 3.14. The interpreter can only disable both at once: it is told so when both have
//! been disabled, and until then a disabled side may be told of again.

#![forbid(unsafe_code)]

use super::listener::{Words, tell};
use crate::{CPython, code_id};
use monitrace_core::{ByteOffset, Callback, CodeId, Event, Payload, Reply, Tool};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyModule};
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

type Side = Option<Arc<dyn Callback<CPython>>>;

const LEFT: u8 = 1;
const RIGHT: u8 = 2;

/// Branches of which one side is disabled, and code whose instructions are known, before they are
/// forgotten to keep memory bounded. Forgetting costs time and a repeated event, never one lost.
const REMEMBERED: usize = 16 * 1024;

/// Listens to `BRANCH` for both sides of one tool.
#[pyclass(frozen, module = "monitrace._native")]
pub(super) struct Branches {
    left: Side,
    right: Side,
    words: Words,
    /// How many code units of inline cache follow each opcode.
    caches: Vec<u8>,
    state: Mutex<State>,
}

thread_local! {
    /// Set while a branch of a producer is told of, whose code has no instructions to look at.
    static DECLARED: Cell<Option<Event>> = const { Cell::new(None) };
}

/// Says which side the branch takes that `fire` tells of.
pub(super) fn declare<T>(side: Event, fire: impl FnOnce() -> T) -> T {
    let before = DECLARED.replace(Some(side));
    let fired = fire();
    DECLARED.set(before);
    fired
}

#[derive(Default)]
struct State {
    /// For each branch the offset of the instruction behind it.
    behind: HashMap<(CodeId, u32), u32>,
    /// The sides that have been disabled, while the other has not.
    disabled: HashMap<(CodeId, u32), u8>,
}

impl Branches {
    /// For a tool that listens to a side at least.
    pub(super) fn of(tool: &Tool<CPython>, monitoring: &Bound<'_, PyModule>) -> PyResult<Option<Branches>> {
        let side = |side: Event| -> Side {
            tool.callbacks()
                .iter()
                .find(|(event, _)| *event == side)
                .map(|(_, callback)| Arc::clone(callback))
        };
        let (left, right) = (side(Event::BranchLeft), side(Event::BranchRight));
        if left.is_none() && right.is_none() {
            return Ok(None);
        }
        // Now, since nothing can be imported in the middle of any code.
        let caches = cache_units(monitoring.py())?;
        Ok(Some(Branches { left, right, words: Words::new(monitoring)?, caches, state: Mutex::default() }))
    }

    pub(super) fn callable(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        Bound::new(py, self)?.getattr("branch")
    }

    /// The side that code which is not Python's says it takes, in the current thread.
    fn declared() -> Option<Event> {
        DECLARED.get()
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn goes_left(&self, code: &Bound<'_, PyAny>, place: (CodeId, u32), destination: u32) -> PyResult<bool> {
        if let Some(behind) = self.with(|state| state.behind.get(&place).copied()) {
            return Ok(destination == behind);
        }
        let behind = offset_behind(code, place.1, &self.caches)?;
        self.with(|state| {
            if state.behind.len() >= REMEMBERED {
                state.behind.clear();
            }
            state.behind.insert(place, behind);
        });
        Ok(destination == behind)
    }

    /// Notes that one side was disabled. Answers whether both are now.
    fn disable(&self, place: (CodeId, u32), side: u8) -> bool {
        let wanted =
            if self.left.is_some() { LEFT } else { 0 } | if self.right.is_some() { RIGHT } else { 0 };
        self.with(|state| {
            let disabled = state.disabled.remove(&place).unwrap_or_default() | side;
            if disabled & wanted == wanted {
                return true;
            }
            if state.disabled.len() >= REMEMBERED {
                state.disabled.clear();
            }
            state.disabled.insert(place, disabled);
            false
        })
    }
}

#[pymethods]
impl Branches {
    #[pyo3(signature = (code, offset, destination, /))]
    fn branch(
        &self,
        code: &Bound<'_, PyAny>,
        offset: &Bound<'_, PyAny>,
        destination: u32,
    ) -> PyResult<Py<PyAny>> {
        let py = code.py();
        if let Some(event) = Self::declared() {
            let callback = if event == Event::BranchLeft { &self.left } else { &self.right };
            let Some(callback) = callback else { return Ok(py.None()) };
            let reply =
                tell(&**callback, event, code, offset, Payload::Destination(ByteOffset(destination)))?;
            return Ok(self.words.answer(py, reply));
        }
        let place = (code_id(code), offset.extract()?);
        let (event, side, callback) = if self.goes_left(code, place, destination)? {
            (Event::BranchLeft, LEFT, &self.left)
        } else {
            (Event::BranchRight, RIGHT, &self.right)
        };
        let Some(callback) = callback else {
            return Ok(py.None());
        };
        let reply = tell(&**callback, event, code, offset, Payload::Destination(ByteOffset(destination)))?;
        let reply = match reply {
            Reply::Disable if !self.disable(place, side) => Reply::Continue,
            reply => reply,
        };
        Ok(self.words.answer(py, reply))
    }
}

/// The offset of the instruction behind the one at `offset`: past its inline caches.
fn offset_behind(code: &Bound<'_, PyAny>, offset: u32, caches: &[u8]) -> PyResult<u32> {
    let bytes = code.getattr("co_code")?;
    let bytes = bytes.cast::<PyBytes>()?.as_bytes();
    let opcode = bytes.get(offset as usize).copied().unwrap_or_default();
    Ok(offset + 2 + 2 * u32::from(caches.get(usize::from(opcode)).copied().unwrap_or_default()))
}

/// How many code units of inline cache follow each opcode, as this interpreter says itself:
/// 3.12 lists them by opcode, 3.13 those that have any by name.
fn cache_units(py: Python<'_>) -> PyResult<Vec<u8>> {
    let module = py.import("opcode")?;
    let entries = module.getattr("_inline_cache_entries")?;
    if let Ok(by_opcode) = entries.extract::<Vec<u8>>() {
        return Ok(by_opcode);
    }
    let opcodes = module.getattr("opmap")?.extract::<HashMap<String, usize>>()?;
    let mut units = vec![0; 256];
    for (name, count) in entries.extract::<HashMap<String, u8>>()? {
        if let Some(unit) = opcodes.get(&name).and_then(|&opcode| units.get_mut(opcode)) {
            *unit = count;
        }
    }
    Ok(units)
}
