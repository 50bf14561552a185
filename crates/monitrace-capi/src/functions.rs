//! The functions of the table, as `monitrace.h` declares them. They are called with the GIL held, and
//! with what the Monitoring C API's document asks for; what it forbids is an error.

use crate::trampoline::{Common, Current, guard, null, object};
use monitrace::table::StatePtr;
use monitrace_core::{Event, Payload};
use monitrace_cpython::event_ids;
use monitrace_cpython::producer::{self, Occurrence, Thread};
use pyo3::exceptions::{PyStopIteration, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use std::cell::Cell;
use std::ffi::c_int;

/// `PyMonitoring_EnterScope`, for scopes that may not be up to date.
pub(crate) unsafe extern "C" fn enter_scope(
    states: StatePtr,
    version: *mut u64,
    ids: *const u8,
    length: ffi::Py_ssize_t,
) -> c_int {
    let body = |py: Python<'_>| {
        let length =
            usize::try_from(length).map_err(|_| PyValueError::new_err("length must be non-negative"))?;
        if version.is_null() {
            return Err(null("version"));
        }
        if length != 0 && states.is_null() {
            return Err(null("state_array"));
        }
        if length != 0 && ids.is_null() {
            return Err(null("event_types"));
        }
        // SAFETY: not NULL, or empty; both arrays have `length` entries, and all three are only used
        // with the GIL held, as the document asks.
        let (states, ids, version) = unsafe {
            let (states, ids) = match length {
                0 => (&[][..], &[][..]),
                _ => (std::slice::from_raw_parts(states, length), std::slice::from_raw_parts(ids, length)),
            };
            (states, ids, Cell::from_mut(&mut *version))
        };
        producer::enter(py, states, version, ids)
    };
    // SAFETY: the C API is called with the GIL held. A scope may be entered with an exception set, with
    // which nothing could be asked of the interpreter.
    unsafe {
        let current = Current::take();
        let entered = guard(body);
        match current {
            Some(current) if entered == 0 => current.restore(),
            Some(current) => current.forget(),
            None => {}
        }
        entered
    }
}

/// `PyMonitoring_ExitScope`: nothing is kept for a scope that was entered.
pub(crate) unsafe extern "C" fn exit_scope() -> c_int {
    0
}

/// Runs `body` for an event that has nothing to do with the current exception, once what comes with every
/// event is checked. -1: an exception is set.
///
/// # Safety
/// As the C API asks.
unsafe fn checked(
    state: StatePtr,
    code_like: *mut ffi::PyObject,
    offset: i32,
    body: impl FnOnce(Python<'_>, &Common<'_, '_>) -> PyResult<()>,
) -> c_int {
    // SAFETY: the caller's promise; the GIL is held.
    unsafe {
        let thread = Thread::current(Python::assume_attached());
        if thread.is_raised() {
            return -1;
        }
        guard(|py| body(py, &Common::check(py, thread, state, code_like, offset)?))
    }
}

/// Fires an event that carries no object. `complete` adds what it carries else.
///
/// # Safety
/// As the C API asks.
#[cfg_attr(Py_3_13, inline(never))]
unsafe fn fire(
    state: StatePtr,
    code_like: *mut ffi::PyObject,
    offset: i32,
    event: Event,
    complete: impl FnOnce(&mut Occurrence<'_, '_>),
) -> c_int {
    let body = |py: Python<'_>, common: &Common<'_, '_>| {
        let mut occurrence = common.occurrence(event);
        complete(&mut occurrence);
        producer::fire(py, common.state, &occurrence)
    };
    // SAFETY: the caller's promise.
    unsafe { checked(state, code_like, offset, body) }
}

/// Fires an event that carries a value, or goes somewhere.
///
/// # Safety
/// As the C API asks.
#[cfg_attr(Py_3_13, inline(never))]
unsafe fn fire_value(
    state: StatePtr,
    code_like: *mut ffi::PyObject,
    offset: i32,
    event: Event,
    name: &str,
    value: *mut ffi::PyObject,
) -> c_int {
    let body = |py: Python<'_>, common: &Common<'_, '_>| {
        // SAFETY: the caller's promise.
        let value = unsafe { object(py, value) }.ok_or_else(|| null(name))?;
        let mut occurrence = common.occurrence(event);
        match event {
            Event::Jump | Event::BranchLeft | Event::BranchRight => {
                occurrence.destination = Some(value.as_unbound());
            }
            _ => occurrence.payload = Payload::Value(value.as_unbound()),
        }
        producer::fire(py, common.state, &occurrence)
    };
    // SAFETY: the caller's promise.
    unsafe { checked(state, code_like, offset, body) }
}

/// Fires an event that tells of the current exception, which stays the current one.
///
/// # Safety
/// As the C API asks.
#[cfg_attr(Py_3_13, inline(never))]
unsafe fn fire_exception(state: StatePtr, code_like: *mut ffi::PyObject, offset: i32, event: Event) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let current = Current::take();
        let fired = guard(|py| {
            let common = Common::check(py, Thread::current(py), state, code_like, offset)?;
            let Some(current) = &current else {
                let id = event_ids::id(event);
                return Err(PyValueError::new_err(format!("Firing event {id} with no exception set")));
            };
            let exception = current.object(py);
            let mut occurrence = common.occurrence(event);
            occurrence.payload = Payload::Exception(exception.as_unbound());
            producer::fire(py, common.state, &occurrence)
        });
        match current {
            Some(current) if fired == 0 => current.restore(),
            // Another exception has taken its place.
            Some(current) => current.forget(),
            None => {}
        }
        fired
    }
}

/// 3.13 and later: whether an event, with an exception set or not, can be left to the interpreter's own
/// function. It costs less than all that is done here, and does the same for what is not special.
///
/// # Safety
/// As the C API asks.
#[cfg(Py_3_13)]
#[inline(always)]
unsafe fn is_straight(state: StatePtr, code_like: *mut ffi::PyObject, offset: i32, is_raised: bool) -> bool {
    // SAFETY: the caller's promise; the GIL is held.
    unsafe {
        let py = Python::assume_attached();
        let thread = Thread::current(py);
        let (Some(state), Some(code_like)) = (state.as_ref(), object(py, code_like)) else { return false };
        offset >= 0 && thread.is_raised() == is_raised && producer::is_straight(thread, state, &code_like)
    }
}

macro_rules! place_events {
    ($($name:ident = $event:ident or $native:ident),* $(,)?) => {$(
        pub(crate) unsafe extern "C" fn $name(
            state: StatePtr,
            code_like: *mut ffi::PyObject,
            offset: i32,
        ) -> c_int {
            // SAFETY: called as the C API asks.
            unsafe {
                #[cfg(Py_3_13)]
                if is_straight(state, code_like, offset, false) {
                    return monitrace::native::$native(state, code_like, offset);
                }
                fire(state, code_like, offset, Event::$event, |_| {})
            }
        }
    )*};
}

macro_rules! value_events {
    ($($name:ident = $event:ident, $argument:literal $(or $native:ident)?),* $(,)?) => {$(
        pub(crate) unsafe extern "C" fn $name(
            state: StatePtr,
            code_like: *mut ffi::PyObject,
            offset: i32,
            value: *mut ffi::PyObject,
        ) -> c_int {
            // SAFETY: called as the C API asks.
            unsafe {
                $(
                    #[cfg(Py_3_13)]
                    if !value.is_null() && is_straight(state, code_like, offset, false) {
                        return monitrace::native::$native(state, code_like, offset, value);
                    }
                )?
                fire_value(state, code_like, offset, Event::$event, $argument, value)
            }
        }
    )*};
}

macro_rules! exception_events {
    ($($name:ident = $event:ident $(or $native:ident)?),* $(,)?) => {$(
        pub(crate) unsafe extern "C" fn $name(
            state: StatePtr,
            code_like: *mut ffi::PyObject,
            offset: i32,
        ) -> c_int {
            // SAFETY: called as the C API asks.
            unsafe {
                $(
                    #[cfg(Py_3_13)]
                    if is_straight(state, code_like, offset, true) {
                        return monitrace::native::$native(state, code_like, offset);
                    }
                )?
                fire_exception(state, code_like, offset, Event::$event)
            }
        }
    )*};
}

place_events! {
    fire_py_start = PyStart or _PyMonitoring_FirePyStartEvent,
    fire_py_resume = PyResume or _PyMonitoring_FirePyResumeEvent,
}

// Those without a function of the interpreter are told of otherwise than it does.
value_events! {
    fire_py_return = PyReturn, "retval" or _PyMonitoring_FirePyReturnEvent,
    fire_py_yield = PyYield, "retval" or _PyMonitoring_FirePyYieldEvent,
    fire_jump = Jump, "target_offset" or _PyMonitoring_FireJumpEvent,
    fire_branch_left = BranchLeft, "target_offset",
    fire_branch_right = BranchRight, "target_offset",
    fire_c_return = CReturn, "retval",
}

exception_events! {
    fire_py_throw = PyThrow or _PyMonitoring_FirePyThrowEvent,
    fire_raise = Raise or _PyMonitoring_FireRaiseEvent,
    fire_c_raise = CRaise,
    fire_reraise = Reraise or _PyMonitoring_FireReraiseEvent,
    fire_exception_handled = ExceptionHandled or _PyMonitoring_FireExceptionHandledEvent,
    fire_py_unwind = PyUnwind or _PyMonitoring_FirePyUnwindEvent,
}

pub(crate) unsafe extern "C" fn fire_line(
    state: StatePtr,
    code_like: *mut ffi::PyObject,
    offset: i32,
    line: c_int,
) -> c_int {
    // SAFETY: called as the C API asks.
    unsafe {
        #[cfg(Py_3_13)]
        if is_straight(state, code_like, offset, false) {
            return monitrace::native::_PyMonitoring_FireLineEvent(state, code_like, offset, line);
        }
        fire(state, code_like, offset, Event::Line, |occurrence| occurrence.line = line)
    }
}

/// `arg0` may be NULL: then `MISSING` is told.
pub(crate) unsafe extern "C" fn fire_call(
    state: StatePtr,
    code_like: *mut ffi::PyObject,
    offset: i32,
    callable: *mut ffi::PyObject,
    arg0: *mut ffi::PyObject,
) -> c_int {
    let body = |py: Python<'_>, common: &Common<'_, '_>| {
        // SAFETY: called as the C API asks.
        let (callable, arg0) = unsafe { (object(py, callable), object(py, arg0)) };
        let callable = callable.ok_or_else(|| null("callable"))?;
        let mut occurrence = common.occurrence(Event::Call);
        occurrence.payload = Payload::Call {
            callable: callable.as_unbound(),
            arg0: arg0.as_ref().map(|arg0| arg0.as_unbound()),
        };
        producer::fire(py, common.state, &occurrence)
    };
    // SAFETY: called as the C API asks.
    unsafe { checked(state, code_like, offset, body) }
}

/// `value` may be a `StopIteration`, any other object, or NULL for none.
pub(crate) unsafe extern "C" fn fire_stop_iteration(
    state: StatePtr,
    code_like: *mut ffi::PyObject,
    offset: i32,
    value: *mut ffi::PyObject,
) -> c_int {
    let body = |py: Python<'_>, common: &Common<'_, '_>| {
        // SAFETY: called as the C API asks.
        let value = unsafe { object(py, value) };
        let stop = py.get_type::<PyStopIteration>();
        let exception = match value {
            Some(value) if value.is_instance(&stop)? => value.to_owned(),
            // By a call, and not by setting it: that would spread a tuple over the arguments.
            Some(value) => stop.call1((value,))?,
            None => stop.call0()?,
        };
        let mut occurrence = common.occurrence(Event::StopIteration);
        occurrence.payload = Payload::Exception(exception.as_unbound());
        producer::fire(py, common.state, &occurrence)
    };
    // SAFETY: called as the C API asks.
    unsafe { checked(state, code_like, offset, body) }
}
