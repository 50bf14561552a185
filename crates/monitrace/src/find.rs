//! Finds the package's table of functions, by the rules of `monitrace.h`.
//!
//! It owns this library's pointer to the table. Before the first scope it is NULL; where the package is not
//! installed, it is [`ABSENT`], which does what can be done without: nothing before 3.13, and from there on
//! what the interpreter does by itself. It must never keep a table that it has not compared.

use crate::event::Ids;
use crate::object::Attached;
use crate::raised::{Aside, Raised};
use crate::table::{Api, CAPSULE, Enter, State, VERSION, WAITING, Words};
use pyo3_ffi as ffi;
use std::ptr;
use std::sync::atomic::{
    AtomicPtr, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

static API: AtomicPtr<Api> = AtomicPtr::new(ptr::null_mut());

/// What is there without the package.
#[cfg(Py_3_13)]
static ABSENT: Api = {
    use crate::native as n;
    static WORDS: Words = Words::with(ptr::null_mut(), 0);
    #[cfg(not(Py_3_14))]
    use n::{_PyMonitoring_FireBranchEvent as left, _PyMonitoring_FireBranchEvent as right};
    #[cfg(Py_3_14)]
    use n::{_PyMonitoring_FireBranchLeftEvent as left, _PyMonitoring_FireBranchRightEvent as right};
    Api {
        version: VERSION,
        size: size_of::<Api>() as u32,
        words: &WORDS,
        enter_scope: n::PyMonitoring_EnterScope,
        exit_scope: n::PyMonitoring_ExitScope,
        fire_py_start: n::_PyMonitoring_FirePyStartEvent,
        fire_py_resume: n::_PyMonitoring_FirePyResumeEvent,
        fire_py_return: n::_PyMonitoring_FirePyReturnEvent,
        fire_py_yield: n::_PyMonitoring_FirePyYieldEvent,
        fire_call: n::_PyMonitoring_FireCallEvent,
        fire_line: n::_PyMonitoring_FireLineEvent,
        fire_jump: n::_PyMonitoring_FireJumpEvent,
        fire_branch: right,
        fire_branch_left: left,
        fire_branch_right: right,
        fire_c_return: n::_PyMonitoring_FireCReturnEvent,
        fire_py_throw: n::_PyMonitoring_FirePyThrowEvent,
        fire_raise: n::_PyMonitoring_FireRaiseEvent,
        fire_c_raise: n::_PyMonitoring_FireCRaiseEvent,
        fire_reraise: n::_PyMonitoring_FireReraiseEvent,
        fire_exception_handled: n::_PyMonitoring_FireExceptionHandledEvent,
        fire_py_unwind: n::_PyMonitoring_FirePyUnwindEvent,
        fire_stop_iteration: n::_PyMonitoring_FireStopIterationEvent,
    }
};

#[cfg(not(Py_3_13))]
use silent::ABSENT;

/// Before 3.13 nobody listens but through the package.
#[cfg(not(Py_3_13))]
mod silent {
    use super::*;
    use crate::table::StatePtr;
    use std::ffi::c_int;

    /// The version of scopes that were entered without the package: no table has it.
    const ABSENT_VERSION: u64 = 1;

    unsafe extern "C" fn enter(
        states: StatePtr,
        version: *mut u64,
        _: *const u8,
        length: ffi::Py_ssize_t,
    ) -> c_int {
        // SAFETY: `enter` below passes as many states as it says, and a version.
        unsafe {
            for index in 0..length as usize {
                (*states.add(index)).set(0, 0);
            }
            *version = ABSENT_VERSION;
        }
        0
    }

    unsafe extern "C" fn exit() -> c_int {
        0
    }

    unsafe extern "C" fn place(_: StatePtr, _: *mut ffi::PyObject, _: i32) -> c_int {
        0
    }

    unsafe extern "C" fn value(_: StatePtr, _: *mut ffi::PyObject, _: i32, _: *mut ffi::PyObject) -> c_int {
        0
    }

    unsafe extern "C" fn call(
        _: StatePtr,
        _: *mut ffi::PyObject,
        _: i32,
        _: *mut ffi::PyObject,
        _: *mut ffi::PyObject,
    ) -> c_int {
        0
    }

    unsafe extern "C" fn line(_: StatePtr, _: *mut ffi::PyObject, _: i32, _: c_int) -> c_int {
        0
    }

    static CONFIGURATION: u64 = 0;
    static WORDS: Words = Words::with((&raw const CONFIGURATION).cast_mut(), ABSENT_VERSION);

    pub(super) static ABSENT: Api = Api {
        version: VERSION,
        size: size_of::<Api>() as u32,
        words: &WORDS,
        enter_scope: enter,
        exit_scope: exit,
        fire_py_start: place,
        fire_py_resume: place,
        fire_py_return: value,
        fire_py_yield: value,
        fire_call: call,
        fire_line: line,
        fire_jump: value,
        fire_branch: value,
        fire_branch_left: value,
        fire_branch_right: value,
        fire_c_return: value,
        fire_py_throw: place,
        fire_raise: place,
        fire_c_raise: place,
        fire_reraise: place,
        fire_exception_handled: place,
        fire_py_unwind: place,
        fire_stop_iteration: value,
    };
}

#[inline]
fn known() -> Option<&'static Api> {
    // SAFETY: NULL, or a table that is never freed: ours, or the package's, which stays loaded. It is
    // written by `find`, and by a package that was asked to (`wait`) and has this layout then.
    unsafe { API.load(Acquire).as_ref() }
}

/// The table for an event or for leaving a scope.
#[inline]
pub(crate) fn table() -> &'static Api {
    known().unwrap_or(&ABSENT)
}

/// Whether this is the package's table.
pub(crate) fn is_packages(api: &Api) -> bool {
    !ptr::eq(api, &ABSENT)
}

/// Brings a scope up to date: its states, one for each of `ids`, and its version.
///
/// # Errors
/// What the package's import raised, and what its table did.
#[inline]
pub(crate) fn enter<'py>(
    attached: Attached<'py>,
    states: &[State],
    version: &AtomicU64,
    ids: Ids,
) -> Result<(), Raised<'py>> {
    if cfg!(Py_GIL_DISABLED) {
        // The package does not support it, and the interpreter's functions ask for locks of their own.
        return Ok(());
    }
    let Some(api) = known() else { return enter_first(attached, states, version, ids) };
    #[cfg(not(Py_3_13))]
    {
        // SAFETY: it stands in the package, in the interpreter or in this library, as long as the process
        // runs, and is only written with the GIL held.
        let configuration = unsafe { *api.words.configuration.load(Relaxed) };
        if version.load(Relaxed) == configuration.wrapping_add(api.words.generation.load(Relaxed)) {
            return Ok(());
        }
    }
    #[cfg(Py_3_13)]
    {
        // Scopes that the package has filled have versions with the highest bit, and may have states of
        // which the interpreter knows nothing.
        let is_packages = version.load(Relaxed) >> 63 != 0;
        if ids.are_native && !is_packages && api.words.direct.load(Relaxed) != 0 {
            return call(crate::native::PyMonitoring_EnterScope, attached, states, version, ids.native);
        }
    }
    enter_by(api, attached, states, version, ids)
}

/// The same where no table is known yet.
#[cold]
fn enter_first<'py>(
    attached: Attached<'py>,
    states: &[State],
    version: &AtomicU64,
    ids: Ids,
) -> Result<(), Raised<'py>> {
    enter_by(first(attached)?, attached, states, version, ids)
}

/// The same by a table.
fn enter_by<'py>(
    api: &Api,
    attached: Attached<'py>,
    states: &[State],
    version: &AtomicU64,
    ids: Ids,
) -> Result<(), Raised<'py>> {
    if !is_packages(api) {
        return call(api.enter_scope, attached, states, version, ids.native);
    }
    #[cfg(Py_3_13)]
    if !ids.are_native && version.load(Relaxed) >> 63 == 0 {
        // Perhaps it was filled before the package came, and its version would count as the interpreter's.
        version.store(0, Relaxed);
    }
    call(api.enter_scope, attached, states, version, ids.own)
}

fn call<'py>(
    function: Enter,
    attached: Attached<'py>,
    states: &[State],
    version: &AtomicU64,
    ids: &'static [u8],
) -> Result<(), Raised<'py>> {
    debug_assert_eq!(states.len(), ids.len());
    // SAFETY: as many states as ids; the package's function knows all ids, and the interpreter's is given
    // those that it knows. States and version are atomic; nobody without the GIL writes them, and the thread
    // has it.
    let entered = unsafe {
        let length = states.len() as ffi::Py_ssize_t;
        function(states.as_ptr().cast_mut(), version.as_ptr(), ids.as_ptr(), length)
    };
    if entered < 0 { Err(Raised::take(attached)) } else { Ok(()) }
}

/// The table for the first scope. In another interpreter than the main one the package serves nobody.
fn first(attached: Attached<'_>) -> Result<&'static Api, Raised<'_>> {
    // SAFETY: the thread is attached.
    if unsafe { ffi::PyInterpreterState_Get() != ffi::PyInterpreterState_Main() } {
        return Ok(&ABSENT);
    }
    let _current = Aside::new(attached);
    match find(attached) {
        Err(raised) if is_missing(&raised) => {
            API.store((&raw const ABSENT).cast_mut(), Release);
            wait(attached);
            Ok(&ABSENT)
        }
        found => found.map(|()| table()),
    }
}

fn is_missing(raised: &Raised<'_>) -> bool {
    use crate::object::Object;
    let attached = raised.attached();
    // SAFETY: both are alive, and the thread is attached.
    unsafe { ffi::PyErr_GivenExceptionMatches(raised.as_ptr(attached), ffi::PyExc_ModuleNotFoundError) != 0 }
}

/// Looks for the package at once, instead of when the first scope is entered. Where it is not installed,
/// scopes go without it, and this is for those who would rather say so.
///
/// # Errors
/// An `ImportError`, or whatever its import raised.
pub fn import<'py>(attached: impl Into<Attached<'py>>) -> Result<(), Raised<'py>> {
    match known() {
        Some(api) if is_packages(api) => Ok(()),
        _ => find(attached.into()),
    }
}

/// Looks for the package. After an error the next one looks again.
fn find(attached: Attached<'_>) -> Result<(), Raised<'_>> {
    // Code that runs within the import has no table yet.
    API.store((&raw const ABSENT).cast_mut(), Release);
    // SAFETY: the thread is attached; each reference is dropped once, and what is not NULL is alive until
    // then. A capsule of this name holds the package's table, of which every version begins with `version`
    // and `size`; the package is never unloaded.
    let api = unsafe {
        let module = ffi::PyImport_ImportModule(c"monitrace._native".as_ptr());
        let mut capsule = ptr::null_mut();
        if !module.is_null() {
            capsule = ffi::PyObject_GetAttrString(module, c"_C_API".as_ptr());
        }
        let mut api: *mut Api = ptr::null_mut();
        if !capsule.is_null() {
            api = ffi::PyCapsule_GetPointer(capsule, CAPSULE.as_ptr()).cast();
        }
        if !api.is_null() && ((*api).version != VERSION || ((*api).size as usize) < size_of::<Api>()) {
            let words = c"this extension was built with a version of the crate monitrace that the installed \
                          monitrace does not serve; install the monitrace that it was built for, or build it again";
            ffi::PyErr_SetString(ffi::PyExc_ImportError, words.as_ptr());
            api = ptr::null_mut();
        }
        ffi::Py_XDECREF(capsule);
        ffi::Py_XDECREF(module);
        api
    };
    API.store(api, Release);
    if api.is_null() { Err(Raised::take(attached)) } else { Ok(()) }
}

/// Leaves the address of this library's pointer where the package, once it is imported, finds it.
fn wait(attached: Attached<'_>) {
    // SAFETY: the thread is attached; owned references are dropped once, borrowed ones are of a dictionary
    // and a list that are alive meanwhile. The pointer is a static.
    unsafe {
        let dictionary = ffi::PyInterpreterState_GetDict(ffi::PyInterpreterState_Get());
        let capsule = ffi::PyCapsule_New((&raw const API).cast_mut().cast(), WAITING.as_ptr(), None);
        let key = ffi::PyUnicode_FromString(WAITING.as_ptr());
        if !dictionary.is_null() && !capsule.is_null() && !key.is_null() {
            let mut waiting = ffi::PyDict_GetItemWithError(dictionary, key);
            ffi::Py_XINCREF(waiting);
            if waiting.is_null() && ffi::PyErr_Occurred().is_null() {
                waiting = ffi::PyList_New(0);
                if !waiting.is_null() && ffi::PyDict_SetItem(dictionary, key, waiting) < 0 {
                    ffi::Py_CLEAR(&mut waiting);
                }
            }
            if !waiting.is_null() && ffi::PyList_CheckExact(waiting) != 0 {
                ffi::PyList_Append(waiting, capsule);
            }
            ffi::Py_XDECREF(waiting);
        }
        ffi::Py_XDECREF(key);
        ffi::Py_XDECREF(capsule);
        // Without memory for it, this library goes without.
        if !ffi::PyErr_Occurred().is_null() {
            drop(Raised::take(attached));
        }
    }
}
