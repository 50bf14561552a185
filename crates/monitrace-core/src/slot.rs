//! Where callbacks are kept: read at every active event, replaced seldom.
//!
//! How a reader keeps a callback alive while it runs is the dearest part of an event, and depends on
//! the virtual machine: one with a global lock needs no atomic operation for it. So the host chooses.
//! A slot must never run anything but what it is asked to read, nor let a callback go that is read.

use crate::{Callback, Host};
use arc_swap::ArcSwapOption;
use fragile::Fragile;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Holds one callback, or none.
pub trait Slot<H: Host>: Default + Send + Sync + 'static {
    /// Reads the callback. It lives until `read` returns, even if it is replaced meanwhile, by this
    /// thread or another.
    fn with<R>(&self, read: impl FnOnce(Option<&dyn Callback<H>>) -> R) -> R;

    /// Puts a callback in place and gives back the one before. Calls do not overlap.
    fn replace(&self, callback: Option<Arc<dyn Callback<H>>>) -> Option<Arc<dyn Callback<H>>>;
}

/// A slot for any number of threads that run at once, without locks. Reading it costs two atomic
/// exchanges.
pub struct SharedSlot<H: Host>(ArcSwapOption<Arc<dyn Callback<H>>>);

impl<H: Host> Default for SharedSlot<H> {
    fn default() -> Self {
        SharedSlot(ArcSwapOption::empty())
    }
}

impl<H: Host> Slot<H> for SharedSlot<H> {
    fn with<R>(&self, read: impl FnOnce(Option<&dyn Callback<H>>) -> R) -> R {
        let callback = self.0.load();
        read(callback.as_ref().map(|callback| &***callback))
    }

    fn replace(&self, callback: Option<Arc<dyn Callback<H>>>) -> Option<Arc<dyn Callback<H>>> {
        self.0.swap(callback.map(Arc::new)).map(|before| Arc::clone(&*before))
    }
}

/// A slot for a virtual machine whose code all runs in the thread that made its monitor: reading it costs
/// no atomic operation.
///
/// # Panics
/// Whoever uses it, or drops the monitor, in another thread.
pub struct LocalSlot<H: Host>(Fragile<RefCell<Held<H>>>);

/// Counted a second time, for the length of a call: the first count is shared among threads.
type Held<H> = Option<Rc<Arc<dyn Callback<H>>>>;

impl<H: Host> Default for LocalSlot<H> {
    fn default() -> Self {
        LocalSlot(Fragile::new(RefCell::new(None)))
    }
}

impl<H: Host> Slot<H> for LocalSlot<H> {
    fn with<R>(&self, read: impl FnOnce(Option<&dyn Callback<H>>) -> R) -> R {
        let held = self.0.get().borrow().clone();
        read(held.as_ref().map(|callback| &***callback))
    }

    fn replace(&self, callback: Option<Arc<dyn Callback<H>>>) -> Option<Arc<dyn Callback<H>>> {
        self.0.get().replace(callback.map(Rc::new)).map(|before| Arc::clone(&before))
    }
}
