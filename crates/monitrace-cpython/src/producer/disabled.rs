//! Where tools have disabled events in one code-like: at single offsets, where a scope's state only has
//! whole events.
//!
//! What is disabled counts until the configuration changes, as it does in a state. This must never be
//! written before a callback has answered: between an event and its callback it is only read, and
//! without a lock.

use super::Tools;
use monitrace_core::{Event, EventSet, ToolId, ToolSet};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// The tools that have disabled one event, at each unit of the code.
type Row = OnceLock<Box<[AtomicU8]>>;

pub(super) struct Disabled {
    units: usize,
    /// One for each event, made when it is disabled for the first time.
    rows: [Row; Event::COUNT],
    /// The configuration for which it was disabled.
    configuration: AtomicU64,
}

impl Disabled {
    /// For a code of so many units.
    pub(super) fn new(units: usize) -> Disabled {
        Disabled { units, rows: [const { Row::new() }; Event::COUNT], configuration: AtomicU64::new(0) }
    }

    /// For the same code, with nothing disabled.
    pub(super) fn empty(&self) -> Disabled {
        Disabled::new(self.units)
    }

    fn row(&self, event: Event) -> &Row {
        // How a call ends is disabled with the call.
        let event = if matches!(event, Event::CReturn | Event::CRaise) { Event::Call } else { event };
        &self.rows[event as usize]
    }

    /// The tools that have disabled an event at an offset. `configuration` is only asked for if there
    /// may be some.
    pub(super) fn tools(&self, event: Event, offset: u32, configuration: impl FnOnce() -> u64) -> Tools {
        let tools = match self.row(event).get() {
            Some(row) => unit(offset).and_then(|unit| row.get(unit)).map_or(0, |tools| tools.load(Relaxed)),
            None => 0,
        };
        if tools != 0 && self.configuration.load(Relaxed) == configuration() { tools } else { 0 }
    }

    /// Disables an event at an offset for some tools. Does nothing if there is no such offset: an event
    /// that is told again is better than one that is lost.
    pub(super) fn disable(&self, event: Event, offset: u32, tools: Tools, configuration: u64) {
        if self.configuration.swap(configuration, Relaxed) != configuration {
            for row in self.rows.iter().filter_map(OnceLock::get) {
                row.iter().for_each(|tools| tools.store(0, Relaxed));
            }
        }
        if let Some(unit) = unit(offset).filter(|&unit| unit < self.units) {
            let row = self.row(event).get_or_init(|| (0..self.units).map(|_| AtomicU8::new(0)).collect());
            row[unit].fetch_or(tools, Relaxed);
        }
    }

    /// Enables events again, at every offset, for a tool that has asked for them anew.
    pub(super) fn enable(&self, tool: ToolId, events: EventSet) {
        for row in events.events().filter_map(|event| self.row(event).get()) {
            row.iter().for_each(|tools| _ = tools.fetch_and(!ToolSet::from(tool).bits(), Relaxed));
        }
    }
}

/// The number of the unit that begins at an offset.
fn unit(offset: u32) -> Option<usize> {
    (offset.is_multiple_of(2)).then_some(offset as usize / 2)
}
