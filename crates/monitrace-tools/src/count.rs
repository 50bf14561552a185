//! `count`: how often each event happened. It must do no more, for it shows what a native tool costs and
//! whether a program stands having one.

use monitrace_core::{Callback, Event, EventSet, Firing, Host, Reply, Tool};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts events.
#[derive(Debug, Clone)]
pub struct Count {
    events: EventSet,
    counts: Arc<[AtomicU64; Event::COUNT]>,
}

impl Count {
    /// Counts these events. Of `C_RETURN` and `C_RAISE` a tool is told only together with `CALL` and each other.
    pub fn new(events: EventSet) -> Count {
        Count { events, counts: Arc::new([const { AtomicU64::new(0) }; Event::COUNT]) }
    }

    /// The tool that counts the events of a host. Several count together.
    pub fn tool<H: Host>(&self) -> Tool<H> {
        let counts = Arc::clone(&self.counts);
        let callback: Arc<dyn Callback<H>> = Arc::new(move |firing: &Firing<'_, H>| {
            counts[firing.event as usize].fetch_add(1, Relaxed);
            Ok(Reply::Continue)
        });
        self.events
            .events()
            .fold(Tool::new("monitrace count"), |tool, event| tool.on(event, Arc::clone(&callback)))
    }

    /// How often each of the events happened so far.
    pub fn counts(&self) -> impl Iterator<Item = (Event, u64)> {
        self.events.events().map(|event| (event, self.counts[event as usize].load(Relaxed)))
    }
}
