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

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: u32 = 12;

    fn told(disabled: &Disabled, event: Event, configuration: u64) -> Vec<(u32, Tools)> {
        let tools = |offset| (offset, disabled.tools(event, offset, || configuration));
        (0..CODE + 3).map(tools).filter(|(_, tools)| *tools != 0).collect()
    }

    #[test]
    fn what_is_disabled_is_disabled_there_alone() {
        let disabled = Disabled::new(CODE as usize / 2);
        disabled.disable(Event::Line, 4, 0b001, 1);
        disabled.disable(Event::Line, 10, 0b100, 1);
        disabled.disable(Event::Line, 4, 0b100, 1);
        assert_eq!(told(&disabled, Event::Line, 1), [(4, 0b101), (10, 0b100)]);
        assert_eq!(told(&disabled, Event::PyStart, 1), []);
        assert_eq!(told(&disabled.empty(), Event::Line, 1), []);
    }

    #[test]
    fn another_configuration_forgets_it() {
        let disabled = Disabled::new(CODE as usize / 2);
        disabled.disable(Event::Line, 4, 1, 1);
        assert_eq!(told(&disabled, Event::Line, 2), []);
        disabled.disable(Event::PyStart, 0, 1, 2);
        assert_eq!(told(&disabled, Event::Line, 2), []);
        assert_eq!(told(&disabled, Event::PyStart, 2), [(0, 1)]);
    }

    #[test]
    fn offsets_that_are_not_there_are_never_disabled() {
        let disabled = Disabled::new(CODE as usize / 2);
        for offset in [1, 3, CODE, CODE + 1, u32::MAX] {
            disabled.disable(Event::Line, offset, 1, 1);
        }
        assert_eq!(told(&disabled, Event::Line, 1), []);
    }

    #[test]
    fn events_are_enabled_for_one_tool() {
        let [low, high] = [0, 3].map(|number| ToolId::new(number).expect("a tool's number"));
        let disabled = Disabled::new(CODE as usize / 2);
        for event in [Event::Line, Event::Call, Event::PyStart] {
            disabled.disable(event, 2, 0b1001, 1);
        }
        disabled.enable(high, EventSet::LINE | EventSet::CALL);
        assert_eq!(told(&disabled, Event::Line, 1), [(2, 0b0001)]);
        assert_eq!(told(&disabled, Event::CReturn, 1), [(2, 0b0001)]);
        assert_eq!(told(&disabled, Event::PyStart, 1), [(2, 0b1001)]);
        disabled.enable(low, EventSet::all());
        assert_eq!(told(&disabled, Event::Line, 1), []);
        assert_eq!(told(&disabled, Event::PyStart, 1), [(2, 0b1000)]);
    }
}
