//! Muting a thread while one of its callbacks runs, the way CPython does: `tstate->tracing`.
//!
//! Inlined by hand instead of `PyThreadState_EnterTracing`: this runs for every active event.

use crate::ffi::frame::InterpreterFrame;
use crate::ffi::pystate::{_PyThreadState_UncheckedGet, CFrame, ThreadState};
use pyo3::prelude::*;
use std::marker::PhantomData;

/// The current thread, muted until this is dropped.
pub struct Quiet {
    thread: *mut ThreadState,
    cframe: *mut CFrame,
    use_tracing: u8,
}

/// The thread that this runs in, looked up once. It stays on its thread.
#[derive(Clone, Copy)]
pub struct Thread<'py> {
    state: *mut ThreadState,
    attached: PhantomData<Python<'py>>,
}

impl<'py> Thread<'py> {
    /// The current one.
    #[inline]
    pub fn current(_py: Python<'py>) -> Thread<'py> {
        // SAFETY: reads a global of the interpreter.
        Thread { state: unsafe { _PyThreadState_UncheckedGet() }, attached: PhantomData }
    }

    /// That it is attached.
    #[inline]
    pub(crate) fn py(self) -> Python<'py> {
        // SAFETY: this is not sent to other threads, and was made of the same.
        unsafe { Python::assume_attached() }
    }

    /// Whether it is mute: it runs a callback, or a trace function.
    #[inline]
    pub(crate) fn is_quiet(self) -> bool {
        // SAFETY: the thread is attached for as long as this lives, so it has a thread state.
        unsafe { (*self.state).tracing != 0 }
    }

    /// Mutes it; `None` if it is mute already.
    #[inline]
    pub(super) fn mute(self) -> Option<Quiet> {
        // SAFETY: as above. Its cframe is never NULL (it starts as &root_cframe).
        unsafe {
            let thread = self.state;
            if (*thread).tracing != 0 {
                return None;
            }
            (*thread).tracing = 1;
            let cframe = (*thread).cframe;
            let use_tracing = (*cframe).use_tracing;
            (*cframe).use_tracing = 0;
            Some(Quiet { thread, cframe, use_tracing })
        }
    }

    /// Its newest frame, or NULL.
    #[inline]
    pub(super) fn frame(self) -> *mut InterpreterFrame {
        // SAFETY: as above; its cframe is never NULL.
        unsafe { (*(*self.state).cframe).current_frame }
    }

    /// Whether an exception is set.
    #[inline]
    pub fn is_raised(self) -> bool {
        // SAFETY: as above.
        unsafe { !(*self.state).curexc_type.is_null() }
    }
}

/// Whether the current thread is mute: it runs a callback, or a trace function.
pub(super) fn is_quiet() -> bool {
    // SAFETY: asked in threads that hold the GIL, so there is a current thread state.
    unsafe { (*_PyThreadState_UncheckedGet()).tracing != 0 }
}

/// Mutes the current thread; `None` if it is mute already.
#[inline]
pub(crate) fn quiet() -> Option<Quiet> {
    // SAFETY: events fire in threads that hold the GIL.
    Thread::current(unsafe { Python::assume_attached() }).mute()
}

impl Drop for Quiet {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the guard lives within one call from the evaluation loop whose cframe this is, on
        // the thread that made it.
        unsafe {
            (*self.thread).tracing -= 1;
            let is_plain = (*self.thread).c_tracefunc.is_none() && (*self.thread).c_profilefunc.is_none();
            (*self.cframe).use_tracing = match is_plain {
                true => 0,
                false => super::tracer::use_tracing(self.thread, self.cframe, self.use_tracing),
            };
        }
    }
}
