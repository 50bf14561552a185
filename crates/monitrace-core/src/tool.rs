//! Who listens: tool ids, sets of them, and what a tool is made of.

use crate::{Callback, Event, EventSet, Host, MonitorError};
use std::fmt;
use std::num::NonZeroU32;
use std::ops::{BitAnd, BitOr};
use std::sync::Arc;

/// A tool's number, 0 to 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ToolId(u8);

impl ToolId {
    /// How many tools there can be at once.
    pub const COUNT: usize = 6;

    /// The conventional id of debuggers.
    pub const DEBUGGER: ToolId = ToolId(0);
    /// The conventional id of coverage tools.
    pub const COVERAGE: ToolId = ToolId(1);
    /// The conventional id of profilers.
    pub const PROFILER: ToolId = ToolId(2);
    /// The conventional id of optimizers.
    pub const OPTIMIZER: ToolId = ToolId(5);

    /// Checks a number from outside.
    ///
    /// # Errors
    /// [`MonitorError::InvalidTool`] if it is not 0 to 5.
    pub fn new(number: i64) -> Result<ToolId, MonitorError> {
        match u8::try_from(number) {
            Ok(id) if usize::from(id) < Self::COUNT => Ok(ToolId(id)),
            _ => Err(MonitorError::InvalidTool(number)),
        }
    }

    /// Every tool id, lowest first.
    pub fn all() -> impl Iterator<Item = ToolId> {
        (0..Self::COUNT as u8).map(ToolId)
    }

    /// The number, as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ToolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of tools in one byte, a bit for each. Zero is the fast path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToolSet(u8);

impl ToolSet {
    /// No tool.
    pub const EMPTY: ToolSet = ToolSet(0);

    /// Every tool id.
    pub const ALL: ToolSet = ToolSet((1 << ToolId::COUNT) - 1);

    /// The set whose tool `n` is bit `n`. Bits that stand for no tool id are left out.
    pub const fn from_bits(bits: u8) -> ToolSet {
        ToolSet(bits & Self::ALL.0)
    }

    /// As `from_bits`, of bits that came from a set: they need no check at every event.
    pub(crate) const fn from_known_bits(bits: u8) -> ToolSet {
        ToolSet(bits)
    }

    /// The set in one byte: bit `n` is tool `n`.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether no tool is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the tool is in it.
    pub const fn contains(self, tool: ToolId) -> bool {
        self.0 & (1 << tool.0) != 0
    }

    /// The set and this tool.
    #[must_use]
    pub const fn with(self, tool: ToolId) -> ToolSet {
        ToolSet(self.0 | (1 << tool.0))
    }

    /// The tools that are in either set.
    #[must_use]
    pub const fn union(self, other: ToolSet) -> ToolSet {
        ToolSet(self.0 | other.0)
    }

    /// The tools that are in both sets.
    #[must_use]
    pub const fn intersection(self, other: ToolSet) -> ToolSet {
        ToolSet(self.0 & other.0)
    }

    /// The set without that one's tools.
    #[must_use]
    pub const fn without(self, other: ToolSet) -> ToolSet {
        ToolSet(self.0 & !other.0)
    }

    /// The tools, highest id first: the order of dispatch (measured on CPython 3.12 to 3.15).
    pub fn highest_first(self) -> impl Iterator<Item = ToolId> {
        let mut bits = u32::from(self.0);
        std::iter::from_fn(move || {
            let highest = NonZeroU32::new(bits)?.ilog2();
            bits ^= 1 << highest;
            Some(ToolId(highest as u8))
        })
    }
}

impl BitOr for ToolSet {
    type Output = ToolSet;

    fn bitor(self, other: ToolSet) -> ToolSet {
        self.union(other)
    }
}

impl BitAnd for ToolSet {
    type Output = ToolSet;

    fn bitand(self, other: ToolSet) -> ToolSet {
        self.intersection(other)
    }
}

impl From<ToolId> for ToolSet {
    fn from(tool: ToolId) -> ToolSet {
        ToolSet::EMPTY.with(tool)
    }
}

impl FromIterator<ToolId> for ToolSet {
    fn from_iter<I: IntoIterator<Item = ToolId>>(tools: I) -> Self {
        tools.into_iter().fold(ToolSet::EMPTY, ToolSet::with)
    }
}

/// A native tool: its name, the events that it wants everywhere and its callbacks.
pub struct Tool<H: Host> {
    pub(crate) name: String,
    pub(crate) callbacks: Vec<(Event, Arc<dyn Callback<H>>)>,
}

impl<H: Host> Tool<H> {
    /// A tool that listens to nothing yet.
    pub fn new(name: impl Into<String>) -> Self {
        Tool { name: name.into(), callbacks: Vec::new() }
    }

    /// Listens to `event` everywhere.
    #[must_use]
    pub fn on(mut self, event: Event, callback: Arc<dyn Callback<H>>) -> Self {
        self.callbacks.push((event, callback));
        self
    }

    /// The name under which it claims its id.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The events that it has a callback for.
    pub fn events(&self) -> EventSet {
        self.callbacks.iter().map(|(event, _)| *event).collect()
    }

    /// Its callbacks, for hosts whose virtual machine does the dispatch itself.
    pub fn callbacks(&self) -> &[(Event, Arc<dyn Callback<H>>)] {
        &self.callbacks
    }
}
