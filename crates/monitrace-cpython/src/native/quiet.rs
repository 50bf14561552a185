//! 3.12 and later: whether the current thread is mute, and muting it, as the interpreter does around
//! each callback (`tstate->tracing`). This must leave every other thread alone.

#![allow(unsafe_code)]

use crate::ffi::pystate::ThreadState;
use pyo3::ffi;
use pyo3::prelude::*;
use std::marker::PhantomData;

/// The current thread, muted until this is dropped: neither tools nor trace functions are told of
/// anything. It stays on its thread.
pub struct Quiet<'py> {
    thread: *mut ffi::PyThreadState,
    attached: PhantomData<Python<'py>>,
}

/// Whether the current thread is mute: it runs a callback, a trace function or an audit hook.
pub fn is_quiet(_py: Python<'_>) -> bool {
    // SAFETY: the token says that this thread is attached, so it has a thread state, and no other
    // thread writes its `tracing`; `tests/layout.rs` says where that lies.
    unsafe { (*ffi::compat::PyThreadState_GetUnchecked().cast::<ThreadState>()).tracing != 0 }
}

/// Mutes the current thread; `None` if it is mute already.
pub fn quiet(py: Python<'_>) -> Option<Quiet<'_>> {
    if is_quiet(py) {
        return None;
    }
    // SAFETY: the token says that this thread is attached, so it has a thread state.
    let thread = unsafe {
        let thread = ffi::compat::PyThreadState_GetUnchecked();
        ffi::PyThreadState_EnterTracing(thread);
        thread
    };
    Some(Quiet { thread, attached: PhantomData })
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // SAFETY: the guard cannot leave its thread, nor outlive the time that this is attached, so
        // the thread state is there still.
        unsafe { ffi::PyThreadState_LeaveTracing(self.thread) };
    }
}
