//! Where a callback is kept on 3.11: the GIL is its lock, so that reading it takes no atomic operation.
//! It must never be reached without the GIL.

use crate::host::CPython;
use monitrace_core::Callback;
use std::cell::UnsafeCell;
use std::rc::Rc;
use std::sync::Arc;

type Shared = Arc<dyn Callback<CPython>>;

/// Holds one callback, or none.
#[derive(Default)]
pub struct Slot(UnsafeCell<Option<Rc<Shared>>>);

// SAFETY: on 3.11 the monitor is reached by `sys.monitoring`, by `attach` and by hooks, all of which
// have the GIL; so is the count of the Rc, which never leaves this module.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}

impl monitrace_core::Slot<CPython> for Slot {
    fn with<R>(&self, read: impl FnOnce(Option<&dyn Callback<CPython>>) -> R) -> R {
        // SAFETY: the GIL is held and cloning runs no other code, so nothing replaces it meanwhile.
        let callback = unsafe { (*self.0.get()).clone() };
        read(callback.as_ref().map(|callback| &***callback))
    }

    fn replace(&self, callback: Option<Shared>) -> Option<Shared> {
        let callback = callback.map(Rc::new);
        // SAFETY: the GIL is held, and no reference into the slot is ever kept.
        let before = unsafe { std::mem::replace(&mut *self.0.get(), callback) };
        before.map(|before| Arc::clone(&*before))
    }
}
