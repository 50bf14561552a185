//! 3.12 and later: events of producers.
//!
//! From 3.13 on the interpreter's own functions tell of them, to the tools that the state given to them
//! names. 3.12 has none: there, and for `C_RETURN` and `C_RAISE`, whose documented arguments those
//! functions do not pass, the callbacks are read from the interpreter's table ([`Cells`]); so they are for
//! the sides of branches from 3.14 on. This must never keep tools, events or callbacks of its own.

#![allow(unsafe_code)]

use super::cells::Cells;
pub use super::quiet::Thread;
use crate::event_ids;
use crate::producer::{Occurrence, Tools, WORDS};
use crate::{CPython, Raised};
use monitrace::table::State;
use monitrace_core::{Event, Host, Payload, Reply, ToolId, ToolSet, dispatch};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

#[cfg(not(Py_3_13))]
pub(crate) use by_table::{configuration_version, enter, fire, installed, is_up_to_date, tools};
#[cfg(Py_3_13)]
pub(crate) use through_interpreter::{configuration_version, enter, fire, installed, is_up_to_date, tools};

/// The number of the current thread.
pub(crate) fn thread() -> u64 {
    CPython.thread()
}

/// The callbacks, looked for once: at the first event that needs them, since scopes may be filled by the
/// interpreter alone. Audit hooks run then, as callbacks do.
fn cells(py: Python<'_>) -> Option<&'static Cells> {
    // Set before: hooks may fire events, which go on without.
    static TRIED: AtomicBool = AtomicBool::new(false);
    if Cells::found().is_none() && !TRIED.swap(true, Relaxed) {
        let _ = Cells::find(py);
    }
    Cells::found()
}

/// Whether some tool listens to `C_RETURN` or `C_RAISE`.
pub(crate) fn ends_are_heard(py: Python<'_>) -> bool {
    let Some(cells) = cells(py) else { return false };
    ToolId::all().any(|tool| {
        [Event::CReturn, Event::CRaise]
            .into_iter()
            .any(|event| cells.callback(py, tool, event_ids::id(event)).is_some())
    })
}

/// The id under which the interpreter keeps the callbacks of an event.
fn callback_id(event: Event) -> u8 {
    match event {
        Event::BranchLeft | Event::BranchRight if !event_ids::HAS_BRANCH_SIDES => event_ids::BRANCH_ID,
        event => event_ids::id(event),
    }
}

/// `DISABLE` and `MISSING`.
fn constants(py: Python<'_>) -> PyResult<&'static (Py<PyAny>, Py<PyAny>)> {
    static CONSTANTS: PyOnceLock<(Py<PyAny>, Py<PyAny>)> = PyOnceLock::new();
    CONSTANTS.get_or_try_init(py, || {
        let monitoring = super::monitoring(py)?;
        Ok((monitoring.getattr("DISABLE")?.unbind(), monitoring.getattr("MISSING")?.unbind()))
    })
}

/// Tells the tools of an event by the callbacks in the interpreter's table.
fn fire_by_table(
    py: Python<'_>,
    cells: &Cells,
    tools: Tools,
    occurrence: &Occurrence<'_, '_>,
    disabled: impl Fn(Tools),
) -> PyResult<()> {
    let Some(_quiet) = occurrence.thread.quiet() else { return Ok(()) };
    let (disable, missing) = constants(py)?;
    let none = ptr::null_mut();
    let position = match occurrence.event {
        Event::Line => occurrence.line.into_pyobject(py),
        _ => occurrence.offset.into_pyobject(py),
    }
    .map_err(PyErr::from)?;
    let call = |callable: &Py<PyAny>, arg0: Option<&Py<PyAny>>| {
        (callable.as_ptr(), arg0.unwrap_or(missing).as_ptr(), 4)
    };
    let (third, fourth, count) = match (occurrence.event, occurrence.payload) {
        (Event::CReturn | Event::CRaise, _) => {
            let (callable, arg0) = occurrence.call.unwrap_or((missing, None));
            call(callable, arg0)
        }
        (_, Payload::Call { callable, arg0 }) => call(callable, arg0),
        (_, Payload::Value(value) | Payload::Exception(value)) => (value.as_ptr(), none, 3),
        _ => match occurrence.destination {
            Some(destination) => (destination.as_ptr(), none, 3),
            None => (none, none, 2),
        },
    };
    let id = callback_id(occurrence.event);
    let tell = |tool: ToolId| -> Result<Reply, Raised> {
        let callback = cells.callback_in(py, occurrence.thread, tool, id);
        #[cfg(Py_3_14)]
        let callback = match callback {
            Some(callback) => unwrapped::callable(py, tool, id, callback)?,
            None => None,
        };
        let Some(callback) = callback else { return Ok(Reply::Continue) };
        // The first slot is the callee's to use (PY_VECTORCALL_ARGUMENTS_OFFSET).
        let args = [none, occurrence.code_like.as_ptr(), position.as_ptr(), third, fourth];
        // SAFETY: `args` holds as many live objects as `count` says, behind a spare slot; the callback
        // is held while it is called.
        let answer = unsafe {
            let answer = ffi::PyObject_Vectorcall(
                callback.as_ptr(),
                args.as_ptr().add(1),
                count | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET,
                none,
            );
            Bound::from_owned_ptr_or_err(py, answer)?
        };
        Ok(if answer.is(disable) { Reply::Disable } else { Reply::Continue })
    };
    let remove = |tool: ToolId| {
        if let Err(error) = cells.take(py, tool, id) {
            error.write_unraisable(py, None);
        }
    };
    let told = dispatch(
        occurrence.event,
        ToolSet::from_bits(tools),
        tell,
        |tool| disabled(ToolSet::from(tool).bits()),
        remove,
    );
    told.map_err(|raised| raised.0)
}

/// 3.14 and later: the interpreter wraps what is registered for the deprecated `BRANCH`, once for each
/// side, and gives it back unwrapped. The wrapper takes what stands for the code for a code object and
/// looks at its instructions; where there are none, it must not be called.
#[cfg(Py_3_14)]
mod unwrapped {
    use super::*;
    use pyo3::intern;
    use std::ffi::CStr;
    use std::sync::atomic::AtomicUsize;

    const WORD: usize = size_of::<usize>();
    const WRAPPER: &CStr = c"sys.monitoring.branch_event_handler";

    /// The callable that was registered; `None` if it cannot be told.
    pub(super) fn callable<'py>(
        py: Python<'py>,
        tool: ToolId,
        id: u8,
        callback: Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        // SAFETY: types have a name that ends, and live as long as their objects.
        let name = unsafe { CStr::from_ptr((*ffi::Py_TYPE(callback.as_ptr())).tp_name) };
        if name != WRAPPER {
            return Ok(Some(callback));
        }
        /// How far into a wrapper the callable is, once that is known.
        static OFFSET: AtomicUsize = AtomicUsize::new(0);
        if OFFSET.load(Relaxed) == 0 {
            let Some(offset) = find(py, tool, id, &callback)? else { return Ok(None) };
            OFFSET.store(offset, Relaxed);
        }
        // SAFETY: a wrapper has a reference of its own to the callable, there.
        Ok(unsafe {
            let callable = callback.as_ptr().byte_add(OFFSET.load(Relaxed)).cast::<*mut ffi::PyObject>();
            Some(Bound::from_borrowed_ptr(py, *callable))
        })
    }

    /// Has the interpreter unwrap a wrapper, and looks whether the callable is where it can be told.
    fn find(py: Python<'_>, tool: ToolId, id: u8, wrapper: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        let register = |callback: &Py<PyAny>| {
            super::super::own::call(py, intern!(py, "register_callback"), (tool.index(), 1 << id, callback))
        };
        let callable = register(&py.None())?;
        // A wrapper is registered as it is, not wrapped again.
        let meanwhile = register(wrapper.as_unbound())?;
        if !meanwhile.is_none() {
            register(meanwhile.as_unbound())?;
        }
        // Behind the function that calls it, if anywhere.
        // SAFETY: the fields of a type, and a word within one of its objects.
        let found = unsafe {
            let kind = ffi::Py_TYPE(wrapper.as_ptr());
            let place = (*kind).tp_vectorcall_offset as usize + WORD;
            let is_within = place > WORD && place + WORD <= (*kind).tp_basicsize as usize;
            let is_it = is_within
                && wrapper.as_ptr().byte_add(place).cast::<usize>().read_volatile()
                    == callable.as_ptr().addr();
            is_it.then_some(place)
        };
        Ok(found)
    }
}

/// 3.12: the interpreter has no functions for it.
#[cfg(not(Py_3_13))]
mod by_table {
    use super::*;

    /// There may be listeners from now on: scopes are served.
    pub(crate) fn installed(py: Python<'_>) -> PyResult<()> {
        if Cells::found().is_none() {
            let cells = Cells::find(py)?;
            WORDS.configuration.store(cells.version_address(py).cast_mut(), Relaxed);
            WORDS.raise(WORDS.direct.load(Relaxed) != 0);
        }
        Ok(())
    }

    /// The interpreter's version.
    pub(crate) fn configuration_version(py: Python<'_>) -> u64 {
        Cells::found().map_or(0, |cells| cells.version(py))
    }

    /// The version of scopes that are up to date.
    fn current(py: Python<'_>) -> u64 {
        configuration_version(py) + WORDS.generation.load(Relaxed)
    }

    /// Whether a scope of this version is up to date.
    pub(crate) fn is_up_to_date(py: Python<'_>, version: u64, _is_native: bool) -> bool {
        version == current(py)
    }

    /// There is nobody else to do it.
    pub(crate) fn enter(_states: &[State], _version: &Cell<u64>, _ids: &[u8]) -> bool {
        false
    }

    /// The version, and the tools that want each event of all code.
    pub(crate) fn tools(py: Python<'_>) -> PyResult<(u64, [Tools; Event::COUNT])> {
        let mut tools = [0; Event::COUNT];
        // Read before the events: a change in between is then noticed at the next entry.
        let version = current(py);
        if Cells::found().is_none() {
            return Ok((version, tools));
        }
        for tool in ToolId::all() {
            let bits = super::super::sides::events(py, tool)?;
            for event in crate::producer::heard(event_ids::set(bits).unwrap_or_default()).events() {
                tools[event as usize] |= ToolSet::from(tool).bits();
            }
        }
        Ok((version, tools))
    }

    /// Tells the tools of an event. `disabled` is given those that answered `DISABLE`.
    pub(crate) fn fire(
        py: Python<'_>,
        tools: Tools,
        occurrence: &Occurrence<'_, '_>,
        disabled: impl Fn(Tools),
    ) -> PyResult<()> {
        let Some(cells) = Cells::found() else { return Ok(()) };
        super::super::branches::declare(occurrence.event, || {
            fire_by_table(py, cells, tools, occurrence, disabled)
        })
    }
}

/// 3.13 and later.
#[cfg(Py_3_13)]
mod through_interpreter {
    use super::*;
    use monitrace::native as api;
    use pyo3::ffi::PyObject;
    use pyo3::types::PyCode;
    use std::ffi::c_int;

    /// Set in every version that is ours and not the interpreter's.
    const OURS: u64 = 1 << 63;
    /// The last event for which the interpreter keeps tools: the ancillary events and those that
    /// stand for others come behind it.
    const LAST: u8 = event_ids::id(Event::Reraise);

    /// Nothing was missing.
    pub(crate) fn installed(_py: Python<'_>) -> PyResult<()> {
        Ok(())
    }

    /// The interpreter's version.
    pub(crate) fn configuration_version(_py: Python<'_>) -> u64 {
        let mut version = 0;
        // SAFETY: the GIL is held; no state is asked for.
        unsafe { api::PyMonitoring_EnterScope(ptr::null_mut(), &mut version, ptr::null(), 0) };
        version
    }

    /// Whether a scope of this version is up to date. It has the interpreter's if that filled it.
    pub(crate) fn is_up_to_date(py: Python<'_>, version: u64, is_native: bool) -> bool {
        let current = configuration_version(py);
        // 0 is that of a scope that was never entered, and of an interpreter in which nothing was
        // ever set: there is nothing to fill in then.
        if is_native && version & OURS == 0 { version == current } else { version == ours(current) }
    }

    fn ours(version: u64) -> u64 {
        OURS | (WORDS.generation.load(Relaxed) + version)
    }

    /// Has the interpreter fill the states, if it knows all ids.
    pub(crate) fn enter(states: &[State], version: &Cell<u64>, ids: &[u8]) -> bool {
        if ids.iter().any(|&id| id > LAST) {
            return false;
        }
        // SAFETY: as many states as ids, none of which is out of the interpreter's bounds. States are
        // cells, and the interpreter writes them with the GIL held.
        unsafe {
            api::PyMonitoring_EnterScope(
                states.as_ptr().cast_mut(),
                version.as_ptr(),
                ids.as_ptr(),
                ids.len() as isize,
            );
        }
        true
    }

    /// The version, and the tools that want each event of all code.
    pub(crate) fn tools(py: Python<'_>) -> PyResult<(u64, [Tools; Event::COUNT])> {
        super::super::namespace::check_tools(py)?;
        let ids: Vec<u8> = (0..=LAST).collect();
        let states: Vec<State> = ids.iter().map(|_| State::new(0)).collect();
        let version = Cell::new(0);
        enter(&states, &version, &ids);
        let mut tools = [0; Event::COUNT];
        for &event in Event::ALL {
            let asked = match event {
                Event::CReturn | Event::CRaise => Event::Call,
                event => event,
            };
            let asked = states.get(usize::from(callback_id(asked))).map_or(0, State::active);
            #[cfg(not(Py_3_14))]
            let asked = match event {
                Event::BranchLeft | Event::BranchRight => super::super::sides::among(asked, event),
                _ => asked,
            };
            tools[event as usize] = asked;
        }
        Ok((ours(version.get()), tools))
    }

    /// Tells the tools of an event. `disabled` is given those that answered `DISABLE`.
    pub(crate) fn fire(
        py: Python<'_>,
        tools: Tools,
        occurrence: &Occurrence<'_, '_>,
        disabled: impl Fn(Tools),
    ) -> PyResult<()> {
        let (_, missing) = constants(py)?;
        if has_no_function(occurrence)
            && let Some(cells) = cells(py)
        {
            fire_by_table(py, cells, tools, occurrence, disabled)?;
            // What is left are the interpreter's own tools, which know its arguments.
            let state = State::new(tools & !ToolSet::ALL.bits());
            return match state.active() != 0 && call_interpreter(&state, occurrence, missing) < 0 {
                true => Err(PyErr::fetch(py)),
                false => Ok(()),
            };
        }
        let state = State::new(tools);
        #[cfg(Py_3_14)]
        let told = call_interpreter(&state, occurrence, missing);
        #[cfg(not(Py_3_14))]
        let told = super::super::branches::declare(occurrence.event, || {
            call_interpreter(&state, occurrence, missing)
        });
        disabled(tools & !state.active());
        if told < 0 { Err(PyErr::fetch(py)) } else { Ok(()) }
    }

    /// Whether the interpreter's function does other than documented.
    fn has_no_function(occurrence: &Occurrence<'_, '_>) -> bool {
        match occurrence.event {
            Event::CReturn | Event::CRaise => true,
            // What it wraps callables for `BRANCH` in reads the code's instructions.
            Event::BranchLeft | Event::BranchRight => {
                cfg!(Py_3_14) && !occurrence.code_like.is_instance_of::<PyCode>()
            }
            _ => false,
        }
    }

    type Place = unsafe extern "C" fn(*mut State, *mut PyObject, i32) -> c_int;
    type Value = unsafe extern "C" fn(*mut State, *mut PyObject, i32, *mut PyObject) -> c_int;

    /// The interpreter's function for an event, by what it takes.
    enum Function {
        Place(Place),
        Value(Value),
        /// It tells of the current exception.
        Exception(Place),
        Call,
        Line,
        /// No function fires it, in any version.
        None,
    }

    fn function(event: Event) -> Function {
        match event {
            Event::PyStart => Function::Place(api::_PyMonitoring_FirePyStartEvent),
            Event::PyResume => Function::Place(api::_PyMonitoring_FirePyResumeEvent),
            Event::PyReturn => Function::Value(api::_PyMonitoring_FirePyReturnEvent),
            Event::PyYield => Function::Value(api::_PyMonitoring_FirePyYieldEvent),
            Event::Call => Function::Call,
            Event::Line => Function::Line,
            Event::Instruction => Function::None,
            Event::Jump => Function::Value(api::_PyMonitoring_FireJumpEvent),
            #[cfg(Py_3_14)]
            Event::BranchLeft => Function::Value(api::_PyMonitoring_FireBranchLeftEvent),
            #[cfg(Py_3_14)]
            Event::BranchRight => Function::Value(api::_PyMonitoring_FireBranchRightEvent),
            #[cfg(not(Py_3_14))]
            Event::BranchLeft | Event::BranchRight => Function::Value(api::_PyMonitoring_FireBranchEvent),
            Event::StopIteration => Function::Value(api::_PyMonitoring_FireStopIterationEvent),
            Event::Raise => Function::Exception(api::_PyMonitoring_FireRaiseEvent),
            Event::ExceptionHandled => Function::Exception(api::_PyMonitoring_FireExceptionHandledEvent),
            Event::PyUnwind => Function::Exception(api::_PyMonitoring_FirePyUnwindEvent),
            Event::PyThrow => Function::Exception(api::_PyMonitoring_FirePyThrowEvent),
            Event::Reraise => Function::Exception(api::_PyMonitoring_FireReraiseEvent),
            Event::CReturn => Function::Value(api::_PyMonitoring_FireCReturnEvent),
            Event::CRaise => Function::Exception(api::_PyMonitoring_FireCRaiseEvent),
        }
    }

    fn call_interpreter(state: &State, occurrence: &Occurrence<'_, '_>, missing: &Py<PyAny>) -> c_int {
        let state = (&raw const *state).cast_mut();
        let code = occurrence.code_like.as_ptr();
        let offset = occurrence.offset as i32;
        let nothing = ptr::null_mut::<PyObject>();
        let (value, arg0) = match occurrence.payload {
            Payload::Value(value) | Payload::Exception(value) => (value.as_ptr(), nothing),
            Payload::Call { callable, arg0 } => {
                // NULL would reach the callback.
                (callable.as_ptr(), arg0.unwrap_or(missing).as_ptr())
            }
            _ => (occurrence.destination.map_or(nothing, |to| to.as_ptr()), nothing),
        };
        // SAFETY: the GIL is held, the state is ours, and the objects are borrowed from the caller for as
        // long as this lasts; each function gets what its header asks for.
        unsafe {
            match function(occurrence.event) {
                Function::Place(fire) => fire(state, code, offset),
                Function::Value(fire) => fire(state, code, offset, value),
                Function::Exception(fire) => with_current(value, || fire(state, code, offset)),
                Function::Call => api::_PyMonitoring_FireCallEvent(state, code, offset, value, arg0),
                Function::Line => api::_PyMonitoring_FireLineEvent(state, code, offset, occurrence.line),
                Function::None => 0,
            }
        }
    }

    /// Lends an exception as the current one to a function that takes it from there and puts it back.
    ///
    /// # Safety
    /// The GIL is held, and `exception` is a live exception.
    unsafe fn with_current(exception: *mut PyObject, fire: impl FnOnce() -> c_int) -> c_int {
        // SAFETY: the caller's promise.
        unsafe {
            ffi::Py_INCREF(exception);
            ffi::PyErr_SetRaisedException(exception);
            let told = fire();
            if told == 0 {
                ffi::PyErr_Clear();
            }
            told
        }
    }
}

/// Where the version stands, for those who compare it by themselves. Never written: until it is known
/// where the interpreter's is, no scope is active.
pub(crate) fn configuration() -> *const u64 {
    use std::sync::atomic::AtomicU64;
    static NONE: AtomicU64 = AtomicU64::new(0);
    NONE.as_ptr()
}
