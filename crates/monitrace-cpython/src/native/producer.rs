//! 3.12 and later: events of producers. From 3.13 on the interpreter's own functions tell of them, to
//! the tools that the state given to them names.

use crate::event_ids;
use crate::producer::{Occurrence, State, WORDS};
use monitrace_core::{Event, ToolSet};
use pyo3::prelude::*;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Set in every version that is ours and not the interpreter's.
#[cfg(Py_3_13)]
const OURS: u64 = 1 << 63;

/// Where the version stands, for those who compare it by themselves.
pub(crate) fn configuration() -> *const u64 {
    // Never written: without the interpreter's version, no scope is ever found up to date.
    static NONE: AtomicU64 = AtomicU64::new(0);
    NONE.as_ptr()
}

/// The number of the current thread.
pub(crate) fn thread() -> u64 {
    use monitrace_core::Host;
    crate::CPython.thread()
}

#[cfg(Py_3_13)]
mod by_interpreter {
    use super::*;
    use crate::ffi::monitoring as ffi;
    use monitrace_core::Payload;
    use pyo3::ffi::PyObject;
    use std::ffi::c_int;
    use std::ptr;

    /// The interpreter's version.
    fn interpreter_version() -> u64 {
        let mut version = 0;
        // SAFETY: the GIL is held; no state is asked for.
        unsafe { ffi::PyMonitoring_EnterScope(ptr::null_mut(), &mut version, ptr::null(), 0) };
        version
    }

    /// The version of scopes that are up to date; that of the interpreter if it filled them.
    pub(crate) fn version(_py: Python<'_>, is_native: bool) -> Option<u64> {
        let version = interpreter_version();
        // A scope that was never entered has 0, as the interpreter has before anything was set: then
        // there is nothing to fill in.
        Some(if is_native { version } else { ours(version) })
    }

    fn ours(version: u64) -> u64 {
        OURS | (WORDS.generation.load(Relaxed) + version)
    }

    /// Has the interpreter fill the states, if it knows all ids.
    pub(crate) fn enter(states: &[State], version: &Cell<u64>, ids: &[u8]) -> bool {
        if !ids.iter().all(|&id| is_known(id)) {
            return false;
        }
        // SAFETY: as many states as ids, none of which is out of the interpreter's bounds. States are
        // cells, and the interpreter writes them with the GIL held.
        unsafe {
            ffi::PyMonitoring_EnterScope(
                states.as_ptr().cast_mut(),
                version.as_ptr(),
                ids.as_ptr(),
                ids.len() as isize,
            );
        }
        true
    }

    /// Whether the interpreter keeps tools for this id: not for the ancillary events, nor for those
    /// that stand for others.
    fn is_known(id: u8) -> bool {
        id <= event_ids::id(Event::Reraise)
    }

    /// The version, and the tools that want each event of all code.
    pub(crate) fn tools(_py: Python<'_>) -> PyResult<(u64, [ToolSet; Event::COUNT])> {
        let ids: Vec<u8> = (0..=event_ids::id(Event::Reraise)).collect();
        let states: Vec<State> = ids.iter().map(|_| State::inactive()).collect();
        let version = Cell::new(0);
        enter(&states, &version, &ids);
        let of = |id: u8| states.get(usize::from(id)).map_or(ToolSet::EMPTY, State::active);
        let mut tools = [ToolSet::EMPTY; Event::COUNT];
        for &event in Event::ALL {
            tools[event as usize] = of(match event {
                Event::CReturn | Event::CRaise => event_ids::id(Event::Call),
                Event::BranchLeft | Event::BranchRight if !event_ids::HAS_BRANCH_SIDES => {
                    event_ids::BRANCH_ID
                }
                event => event_ids::id(event),
            });
        }
        Ok((ours(version.get()), tools))
    }

    /// Tells the tools of an event. `disabled` is given those that answered `DISABLE`.
    pub(crate) fn fire(
        py: Python<'_>,
        tools: ToolSet,
        occurrence: &Occurrence<'_, '_>,
        disabled: impl Fn(ToolSet),
    ) -> PyResult<()> {
        let state = State::with(tools);
        let told = fire_natively(&state, occurrence);
        disabled(tools.without(state.active()));
        if told < 0 { Err(PyErr::fetch(py)) } else { Ok(()) }
    }

    fn fire_natively(state: &State, occurrence: &Occurrence<'_, '_>) -> c_int {
        let state = (&raw const *state).cast_mut();
        let code = occurrence.code_like.as_ptr();
        let offset = occurrence.offset as i32;
        let destination = occurrence.destination.map_or(ptr::null_mut(), |to| to.as_ptr());
        let (value, arg0): (*mut PyObject, *mut PyObject) = match occurrence.payload {
            Payload::Value(value) | Payload::Exception(value) => (value.as_ptr(), ptr::null_mut()),
            Payload::Call { callable, arg0 } => {
                (callable.as_ptr(), arg0.map_or(ptr::null_mut(), |arg0| arg0.as_ptr()))
            }
            _ => (ptr::null_mut(), ptr::null_mut()),
        };
        let place: unsafe extern "C" fn(*mut State, *mut PyObject, i32) -> c_int = match occurrence.event {
            Event::PyStart => ffi::_PyMonitoring_FirePyStartEvent,
            Event::PyResume => ffi::_PyMonitoring_FirePyResumeEvent,
            Event::PyThrow => ffi::_PyMonitoring_FirePyThrowEvent,
            Event::Raise => ffi::_PyMonitoring_FireRaiseEvent,
            Event::Reraise => ffi::_PyMonitoring_FireReraiseEvent,
            Event::ExceptionHandled => ffi::_PyMonitoring_FireExceptionHandledEvent,
            Event::PyUnwind => ffi::_PyMonitoring_FirePyUnwindEvent,
            Event::CRaise => ffi::_PyMonitoring_FireCRaiseEvent,
            // SAFETY, here and below: the GIL is held, the state is ours, and the objects are borrowed
            // from the caller for as long as this lasts; each function gets what its header asks for.
            Event::Line => unsafe {
                return ffi::_PyMonitoring_FireLineEvent(state, code, offset, occurrence.line);
            },
            Event::Call => unsafe {
                return ffi::_PyMonitoring_FireCallEvent(state, code, offset, value, arg0);
            },
            Event::PyReturn => unsafe {
                return ffi::_PyMonitoring_FirePyReturnEvent(state, code, offset, value);
            },
            Event::PyYield => unsafe {
                return ffi::_PyMonitoring_FirePyYieldEvent(state, code, offset, value);
            },
            Event::CReturn => unsafe {
                return ffi::_PyMonitoring_FireCReturnEvent(state, code, offset, value);
            },
            Event::StopIteration => unsafe {
                return ffi::_PyMonitoring_FireStopIterationEvent(state, code, offset, value);
            },
            Event::Jump => unsafe {
                return ffi::_PyMonitoring_FireJumpEvent(state, code, offset, destination);
            },
            #[cfg(Py_3_14)]
            Event::BranchLeft => unsafe {
                return ffi::_PyMonitoring_FireBranchLeftEvent(state, code, offset, destination);
            },
            #[cfg(Py_3_14)]
            Event::BranchRight => unsafe {
                return ffi::_PyMonitoring_FireBranchRightEvent(state, code, offset, destination);
            },
            #[cfg(not(Py_3_14))]
            Event::BranchLeft | Event::BranchRight => unsafe {
                return ffi::_PyMonitoring_FireBranchEvent(state, code, offset, destination);
            },
            // No function fires it, in any version.
            Event::Instruction => return 0,
        };
        let exception = match occurrence.event {
            Event::PyStart | Event::PyResume => return unsafe { place(state, code, offset) },
            _ => value,
        };
        // These take the exception from where the caller has just taken it, and put it back.
        unsafe {
            pyo3::ffi::Py_XINCREF(exception);
            pyo3::ffi::PyErr_SetRaisedException(exception);
            let told = place(state, code, offset);
            if told == 0 {
                pyo3::ffi::PyErr_Clear();
            }
            told
        }
    }

    /// Whether some tool listens to `C_RETURN` or `C_RAISE`: whoever wants `CALL` may.
    pub(crate) fn ends_are_heard(_py: Python<'_>) -> bool {
        true
    }
}

#[cfg(not(Py_3_13))]
mod by_interpreter {
    use super::*;

    /// The version of scopes that are up to date.
    pub(crate) fn version(_py: Python<'_>, _is_native: bool) -> Option<u64> {
        Some(WORDS.generation.load(Relaxed))
    }

    /// The interpreter has no function for it.
    pub(crate) fn enter(_states: &[State], _version: &Cell<u64>, _ids: &[u8]) -> bool {
        false
    }

    /// The version, and the tools that want each event of all code.
    pub(crate) fn tools(_py: Python<'_>) -> PyResult<(u64, [ToolSet; Event::COUNT])> {
        Ok((WORDS.generation.load(Relaxed), [ToolSet::EMPTY; Event::COUNT]))
    }

    /// Tells the tools of an event. `disabled` is given those that answered `DISABLE`.
    pub(crate) fn fire(
        _py: Python<'_>,
        _tools: ToolSet,
        _occurrence: &Occurrence<'_, '_>,
        _disabled: impl Fn(ToolSet),
    ) -> PyResult<()> {
        Ok(())
    }

    /// Whether some tool listens to `C_RETURN` or `C_RAISE`.
    pub(crate) fn ends_are_heard(_py: Python<'_>) -> bool {
        false
    }
}

pub(crate) use by_interpreter::{ends_are_heard, enter, fire, tools, version};
