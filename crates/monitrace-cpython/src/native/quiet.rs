//! 3.12 and later: the current thread: whether it is mute, and muting it, as the interpreter does around
//! each callback (`tstate->tracing`). This must leave every other thread alone.

#![allow(unsafe_code)]

use crate::ffi::pystate::ThreadState;
use pyo3::ffi;
use pyo3::prelude::*;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// The thread that this runs in, looked up once. It stays on its thread.
#[derive(Clone, Copy)]
pub struct Thread<'py> {
    state: NonNull<ThreadState>,
    attached: PhantomData<Python<'py>>,
}

impl<'py> Thread<'py> {
    /// The current one.
    #[inline]
    pub fn current(_py: Python<'py>) -> Thread<'py> {
        // SAFETY: the token says that this thread is attached, so it has a thread state.
        let state = unsafe { NonNull::new_unchecked(ffi::compat::PyThreadState_GetUnchecked()).cast() };
        Thread { state, attached: PhantomData }
    }

    fn state(&self) -> *mut ThreadState {
        self.state.as_ptr()
    }

    /// Whether it is mute: it runs a callback, a trace function or an audit hook.
    #[inline]
    pub fn is_quiet(self) -> bool {
        // SAFETY: the thread state is there as long as the thread is attached, and no other thread
        // writes this field; `tests/layout.rs` says where it lies.
        unsafe { (*self.state()).tracing != 0 }
    }

    /// Whether an exception is set.
    #[inline]
    pub fn is_raised(self) -> bool {
        // SAFETY: as above.
        unsafe { !(*self.state()).current_exception.is_null() }
    }

    /// The state of its interpreter.
    #[inline]
    pub(super) fn interpreter(self) -> *mut ffi::PyInterpreterState {
        // SAFETY: as above.
        unsafe { (*self.state()).interp }
    }

    /// Mutes it; `None` if it is mute already.
    #[inline]
    pub fn quiet(self) -> Option<Quiet<'py>> {
        if self.is_quiet() {
            return None;
        }
        // SAFETY: as above. `PyThreadState_EnterTracing` does just this.
        unsafe { (*self.state()).tracing += 1 };
        Some(Quiet(self))
    }
}

/// The current thread, muted until this is dropped: neither tools nor trace functions are told of
/// anything.
pub struct Quiet<'py>(Thread<'py>);

/// Whether the current thread is mute.
pub fn is_quiet(py: Python<'_>) -> bool {
    Thread::current(py).is_quiet()
}

/// Mutes the current thread; `None` if it is mute already.
pub fn quiet(py: Python<'_>) -> Option<Quiet<'_>> {
    Thread::current(py).quiet()
}

impl Drop for Quiet<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the guard cannot leave its thread, nor outlive the time that this is attached, so the
        // thread state is there still. `PyThreadState_LeaveTracing` does just this.
        unsafe { (*self.0.state()).tracing -= 1 };
    }
}
