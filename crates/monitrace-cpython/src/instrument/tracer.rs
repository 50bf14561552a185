//! The trace function of a thread: the program's, or the mover in front of it.
//!
//! The only file that sets one. The object that goes with it (`c_traceobj`) stays the program's, so that
//! `sys.gettrace` tells the truth; the mover needs none.

use super::frames::for_each_frame;
use super::mover::{is_armed, mover};
use crate::ffi::pystate::{CFrame, ThreadState, TraceFunction};
use pyo3::ffi;
use std::cell::Cell;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The program's trace function, which the mover stands in front of. Counts as long as the thread's is the mover:
/// whoever sets another sets it in the mover's place.
struct Covered {
    thread: usize,
    function: TraceFunction,
}

fn covered_functions() -> MutexGuard<'static, Vec<Covered>> {
    static FUNCTIONS: Mutex<Vec<Covered>> = Mutex::new(Vec::new());
    FUNCTIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_mover(function: TraceFunction) -> bool {
    ptr::fn_addr_eq(function, mover as TraceFunction)
}

/// Puts the mover in front of a function, if there is one.
///
/// # Safety
/// The thread is live.
unsafe fn cover(thread: *mut ThreadState, function: Option<TraceFunction>) {
    let mut functions = covered_functions();
    functions.retain(|covered| covered.thread != thread as usize);
    functions.extend(function.map(|function| Covered { thread: thread as usize, function }));
    // SAFETY: see above.
    unsafe { (*thread).c_tracefunc = Some(mover) };
}

/// Has the mover run in a loop of a thread.
///
/// # Safety
/// Both are live, and the loop is the thread's.
pub(super) unsafe fn put_mover(thread: *mut ThreadState, cframe: *mut CFrame) {
    // SAFETY: see above.
    unsafe {
        if !(*thread).c_tracefunc.is_some_and(is_mover) {
            cover(thread, (*thread).c_tracefunc);
        }
        (*cframe).use_tracing = 255;
    }
}

/// The program's own.
///
/// # Safety
/// The thread is live.
pub(super) unsafe fn of_program(thread: *mut ThreadState) -> Option<TraceFunction> {
    // SAFETY: see above.
    let function = unsafe { (*thread).c_tracefunc };
    if !function.is_some_and(is_mover) {
        return function;
    }
    let functions = covered_functions();
    functions.iter().find(|covered| covered.thread == thread as usize).map(|covered| covered.function)
}

/// Takes the mover away from in front of the program's.
///
/// # Safety
/// The thread is live.
pub(super) unsafe fn remove_mover(thread: *mut ThreadState) {
    // SAFETY: see above.
    unsafe { (*thread).c_tracefunc = of_program(thread) };
}

/// Takes the mover out of all threads and their loops.
pub(super) fn remove_all_movers() {
    for_each_frame(|thread, cframe, _, _| {
        // SAFETY: live, see for_each_frame.
        unsafe {
            remove_mover(thread);
            if (*thread).c_tracefunc.is_none() && (*thread).c_profilefunc.is_none() {
                (*cframe).use_tracing = 0;
            }
        }
    });
}

/// What `use_tracing` of a loop is to be behind a callback, and was before: that may have set or removed a trace
/// function, or asked for the loop's frame to be moved.
///
/// # Safety
/// Both are live, and the loop is the thread's.
pub(super) unsafe fn use_tracing(thread: *mut ThreadState, cframe: *mut CFrame, before: u8) -> u8 {
    // SAFETY: see above; the loop is executing that frame.
    unsafe {
        let waits_elsewhere = (*thread).c_tracefunc.is_some_and(is_mover)
            && of_program(thread).is_none()
            && !is_armed((*cframe).current_frame);
        if waits_elsewhere { before } else { 255 }
    }
}

/// What a detour holds back.
#[derive(Clone, Copy)]
struct HeldBack {
    function: Option<TraceFunction>,
    object: *mut ffi::PyObject,
    has_mover: bool,
}

thread_local! {
    static HELD_BACK: Cell<Option<HeldBack>> = const { Cell::new(None) };
}

/// Has the current thread go on without a trace function, until it is given back.
///
/// # Safety
/// The thread is the current one.
pub(super) unsafe fn hold_back(thread: *mut ThreadState) {
    // SAFETY: see above.
    unsafe {
        // A finalizer may come here on the way, and must not lose what is held.
        let Some(function) = (*thread).c_tracefunc else { return };
        HELD_BACK.set(Some(HeldBack {
            function: of_program(thread),
            object: (*thread).c_traceobj,
            has_mover: is_mover(function),
        }));
        (*thread).c_tracefunc = None;
    }
}

/// Gives the current thread its trace function back, unless the program has set another meanwhile.
///
/// # Safety
/// The thread is the current one.
pub(super) unsafe fn give_back(thread: *mut ThreadState) {
    let Some(held) = HELD_BACK.take() else { return };
    // SAFETY: see above.
    unsafe {
        let now = (*thread).c_tracefunc;
        if (*thread).c_traceobj != held.object || now.is_some_and(|function| !is_mover(function)) {
            return;
        }
        if held.has_mover || now.is_some() {
            cover(thread, held.function);
        } else {
            (*thread).c_tracefunc = held.function;
        }
    }
}
