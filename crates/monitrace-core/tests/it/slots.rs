//! What both kinds of slot promise, and where a local one must not be used.

use crate::toy::{ToyHost, at};
use monitrace_core::{Callback, CodeId, Firing, LocalSlot, Reply, SharedSlot, Slot};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

fn callback(alive: &Arc<()>) -> Arc<dyn Callback<ToyHost>> {
    let alive = Arc::clone(alive);
    Arc::new(move |_: &Firing<'_, ToyHost>| {
        let _held = &alive;
        Ok(Reply::Continue)
    })
}

fn keeps_what_is_read<S: Slot<ToyHost>>() {
    let alive = Arc::new(());
    let slot = S::default();
    assert!(slot.replace(Some(callback(&alive))).is_none());
    slot.with(|read| {
        // A callback that unregisters itself.
        drop(slot.replace(None));
        assert_eq!(Arc::strong_count(&alive), 2);
        let reply = read.expect("one was put in place").call(&at(&CodeId(0), 0));
        assert_eq!(reply.expect("it raises nothing"), Reply::Continue);
    });
    assert_eq!(Arc::strong_count(&alive), 1);
    slot.with(|read| assert!(read.is_none()));
}

#[test]
fn callback_lives_while_it_is_read() {
    keeps_what_is_read::<SharedSlot<ToyHost>>();
    keeps_what_is_read::<LocalSlot<ToyHost>>();
}

#[test]
fn local_slot_is_of_no_use_to_another_thread() {
    let alive = Arc::new(());
    let slot = LocalSlot::<ToyHost>::default();
    drop(slot.replace(Some(callback(&alive))));
    let read = || catch_unwind(AssertUnwindSafe(|| slot.with(|_| ())));
    assert!(thread::scope(|threads| threads.spawn(read).join()).expect("it is caught").is_err());
    assert!(read().is_ok());
}
