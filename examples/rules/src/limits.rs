//! How much a rule may do before it is stopped: what a thread has done since the host called.
//!
//! It owns the counts. They are the thread's, since a rule may go through Python and come back: `map` calls
//! its function.

use crate::LimitExceeded;
use pyo3::exceptions::PyRecursionError;
use pyo3::prelude::*;
use std::cell::Cell;

/// How deep calls, statements and expressions may be nested in each other, all together. A thread's stack
/// has room for several times as many.
const DEPTH: u32 = 500;

/// After how many steps an interrupt is looked for.
const SIGNALS: u64 = 1024;

#[derive(Clone, Copy)]
struct Done {
    depth: u32,
    steps: u64,
}

thread_local! {
    static DONE: Cell<Done> = const { Cell::new(Done { depth: 0, steps: 0 }) };
}

/// A call, a statement or an expression that is under way. Dropping it ends it.
pub(crate) struct Level(());

impl Level {
    /// Begins one more. The outermost begins to count anew.
    ///
    /// # Errors
    /// `RecursionError`, `LimitExceeded` after so many steps, or what a signal's handler raised.
    pub(crate) fn enter(py: Python<'_>, steps: u64) -> PyResult<Level> {
        let mut done = DONE.get();
        done.steps = if done.depth == 0 { 1 } else { done.steps + 1 };
        if done.depth == DEPTH {
            return Err(PyRecursionError::new_err("maximum recursion depth exceeded in a rule"));
        }
        if done.steps > steps {
            return Err(LimitExceeded::new_err(format!("a rule took more than {steps} steps")));
        }
        done.depth += 1;
        DONE.set(done);
        let level = Level(());
        if done.steps.is_multiple_of(SIGNALS) {
            py.check_signals()?;
        }
        Ok(level)
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        let done = DONE.get();
        DONE.set(Done { depth: done.depth - 1, ..done });
    }
}
