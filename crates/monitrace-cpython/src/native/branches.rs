//! 3.12 and 3.13: tells the two sides of a branch apart, where the interpreter has one event.
//!
//! Left is the side that goes on with the instruction behind the branch, right the side that
//! jumps, as on 3.14. A tool that has to do with sides has one callable registered for `BRANCH`, which
//! calls its callbacks; others' callbacks are registered as they are. The interpreter says which, and
//! this must keep no callbacks of a tool whose callable is not registered.

#![forbid(unsafe_code)]

use super::branch_table::{Opcodes, instructions, opcodes};
use super::listener::{Words, tell};
use super::own;
use super::sides::{self, Branch, Verdict};
use crate::{CPython, event_ids};
use monitrace_core::{ByteOffset, Callback, Event, EventSet, Payload, Reply, ToolId};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyCode;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A callback for one side.
pub(super) enum SideCallback {
    /// Of a native tool.
    Native(Arc<dyn Callback<CPython>>),
    /// Any callable.
    Python(Py<PyAny>),
}

impl SideCallback {
    fn clone_ref(&self, py: Python<'_>) -> SideCallback {
        match self {
            SideCallback::Native(callback) => SideCallback::Native(Arc::clone(callback)),
            SideCallback::Python(callable) => SideCallback::Python(callable.clone_ref(py)),
        }
    }

    /// The callable, if it is one of Python.
    pub(super) fn into_python(self) -> Option<Py<PyAny>> {
        match self {
            SideCallback::Native(_) => None,
            SideCallback::Python(callable) => Some(callable),
        }
    }
}

/// The callbacks for the left and the right side.
#[derive(Default)]
struct Pair([Option<SideCallback>; 2]);

impl Pair {
    fn both(py: Python<'_>, callback: &SideCallback) -> Pair {
        Pair([Some(callback.clone_ref(py)), Some(callback.clone_ref(py))])
    }

    fn of(&mut self, side: Event) -> &mut Option<SideCallback> {
        &mut self.0[usize::from(side != Event::BranchLeft)]
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

/// Listens to `BRANCH` for both sides of one tool.
#[pyclass(frozen, module = "monitrace._native")]
struct Branches {
    tool: ToolId,
    words: Words,
    opcodes: &'static Opcodes,
    callbacks: Mutex<Pair>,
}

/// What is registered for a tool, if anything of ours is.
struct Listening {
    branches: Py<Branches>,
    /// The method that takes the arguments of the event. Bound once: the interpreter gives it back.
    callable: Py<PyAny>,
    /// Whether it is registered, unless somebody has bypassed our functions.
    is_registered: AtomicBool,
}

static LISTENING: [PyOnceLock<Listening>; ToolId::COUNT] = [const { PyOnceLock::new() }; ToolId::COUNT];

impl Listening {
    /// That of a tool.
    fn of(py: Python<'_>, tool: ToolId) -> PyResult<&Listening> {
        LISTENING[tool.index()].get_or_try_init(py, || {
            let branches = Branches {
                tool,
                words: Words::new(&super::monitoring(py)?)?,
                // Now, since nothing can be imported in the middle of any code.
                opcodes: opcodes(py)?,
                callbacks: Mutex::default(),
            };
            let branches = Bound::new(py, branches)?;
            Ok(Listening {
                callable: branches.getattr("branch")?.unbind(),
                branches: branches.unbind(),
                is_registered: AtomicBool::new(false),
            })
        })
    }

    fn callbacks(&self) -> MutexGuard<'_, Pair> {
        self.branches.get().callbacks()
    }

    /// Registers ours for both sides. What was registered before is called for each of them.
    fn enter(&self, py: Python<'_>) -> PyResult<()> {
        let before = self.exchange(py, Some(&self.callable))?;
        if !before.is(&self.callable) {
            let pair = if before.is_none() {
                Pair::default()
            } else {
                Pair::both(py, &SideCallback::Python(before.unbind()))
            };
            let stale = std::mem::replace(&mut *self.callbacks(), pair);
            drop(stale);
        }
        self.is_registered.store(true, Relaxed);
        Ok(())
    }

    /// Takes ours away again if it has nobody to call: an event without a callback costs less.
    fn leave_if_empty(&self, py: Python<'_>) -> PyResult<()> {
        if self.callbacks().is_empty() {
            self.exchange(py, None)?;
            self.is_registered.store(false, Relaxed);
        }
        Ok(())
    }

    fn exchange<'py>(&self, py: Python<'py>, callable: Option<&Py<PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let tool = self.branches.get().tool;
        own::call(py, intern!(py, "register_callback"), (tool.index(), event_ids::BRANCH, callable))
    }
}

/// From now on the callbacks of a tool are called through ours.
pub(super) fn join(py: Python<'_>, tool: ToolId) -> PyResult<()> {
    let listening = Listening::of(py, tool)?;
    if !listening.is_registered.load(Relaxed) {
        listening.enter(py)?;
        listening.leave_if_empty(py)?;
    }
    Ok(())
}

/// Whether the callbacks of a tool are called through ours.
pub(super) fn is_joined(py: Python<'_>, tool: ToolId) -> bool {
    LISTENING[tool.index()].get(py).is_some_and(|listening| listening.is_registered.load(Relaxed))
}

/// Registers a callback for one side. Answers the one before.
///
/// # Errors
/// Whatever an audit hook raises.
pub(super) fn register(
    py: Python<'_>,
    tool: ToolId,
    side: Event,
    callback: Option<SideCallback>,
) -> PyResult<Option<SideCallback>> {
    let listening = Listening::of(py, tool)?;
    listening.enter(py)?;
    let before = std::mem::replace(listening.callbacks().of(side), callback);
    listening.leave_if_empty(py)?;
    Ok(before)
}

/// Registers a callable, or none, for both sides. Answers the left one's before, as on 3.14.
///
/// # Errors
/// Whatever an audit hook raises.
pub(super) fn register_both(
    py: Python<'_>,
    tool: ToolId,
    callable: Option<Py<PyAny>>,
) -> PyResult<Option<SideCallback>> {
    let listening = Listening::of(py, tool)?;
    if sides::names_sides(tool) {
        listening.enter(py)?;
        let pair = callable.map(|callable| Pair::both(py, &SideCallback::Python(callable)));
        let mut before = std::mem::replace(&mut *listening.callbacks(), pair.unwrap_or_default());
        listening.leave_if_empty(py)?;
        return Ok(before.of(Event::BranchLeft).take());
    }
    let before = listening.exchange(py, callable.as_ref())?;
    listening.is_registered.store(false, Relaxed);
    let mut pair = std::mem::take(&mut *listening.callbacks());
    if before.is(&listening.callable) {
        return Ok(pair.of(Event::BranchLeft).take());
    }
    Ok(if before.is_none() { None } else { Some(SideCallback::Python(before.unbind())) })
}

thread_local! {
    /// Set while a branch of a producer is told of, whose code has no instructions to look at.
    static DECLARED: Cell<Option<Event>> = const { Cell::new(None) };
}

/// Says which side the branch takes that `fire` tells of.
pub(super) fn declare<T>(side: Event, fire: impl FnOnce() -> T) -> T {
    // Nobody asks at the others.
    let before = EventSet::BRANCH.contains(side.set()).then(|| DECLARED.replace(Some(side)));
    let fired = fire();
    if let Some(before) = before {
        DECLARED.set(before);
    }
    fired
}

impl Branches {
    fn callbacks(&self) -> MutexGuard<'_, Pair> {
        self.callbacks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the side's callback, if it has one.
    fn tell(
        &self,
        side: Event,
        code: &Bound<'_, PyAny>,
        offset: &Bound<'_, PyAny>,
        destination: &Bound<'_, PyAny>,
    ) -> PyResult<Reply> {
        let py = code.py();
        let callback = self.callbacks().of(side).as_ref().map(|callback| callback.clone_ref(py));
        match callback {
            None => Ok(Reply::Continue),
            Some(SideCallback::Native(callback)) => {
                let destination = ByteOffset(destination.extract()?);
                tell(&*callback, side, code, offset, Payload::Destination(destination))
            }
            Some(SideCallback::Python(callable)) => {
                let answer = callable.bind(py).call1((code, offset, destination))?;
                Ok(if answer.is(&self.words.disable) { Reply::Disable } else { Reply::Continue })
            }
        }
    }
}

#[pymethods]
impl Branches {
    #[pyo3(signature = (code, offset, destination, /))]
    fn branch(
        &self,
        code: &Bound<'_, PyAny>,
        offset: &Bound<'_, PyAny>,
        destination: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let py = code.py();
        let declared = DECLARED.get();
        if declared.is_some() || !code.is_instance_of::<PyCode>() {
            // A producer that has not been asked which side means the right one, as on 3.14.
            let side = declared.unwrap_or(Event::BranchRight);
            if !sides::is_wanted_of(code, self.tool, side) {
                return Ok(py.None());
            }
            // It disables its state by itself, and has one for each side.
            let reply = self.tell(side, code, offset, destination)?;
            return Ok(self.words.answer(py, reply));
        }
        let branch = Branch { tool: self.tool, code, offset: offset.extract()? };
        let (side, mut verdict) = branch.turn(destination.extract()?, || {
            Ok(self.opcodes.behind(instructions(code)?.as_bytes(), branch.offset))
        })?;
        if matches!(verdict, Verdict::Tell) {
            verdict = match self.tell(side, code, offset, destination)? {
                Reply::Disable => branch.disable(side),
                Reply::Continue => Verdict::Pass,
            };
        }
        let reply = if matches!(verdict, Verdict::Disable) { Reply::Disable } else { Reply::Continue };
        Ok(self.words.answer(py, reply))
    }
}
