//! What was disabled and counts no more.
//!
//! A restart walks no scope: it notes the version that it brings, and a scope that is entered later
//! forgets what was disabled before. What is noted must never grow beyond one matrix, and one for
//! each code object that was named and lives.

use crate::{CodeId, Event, ToolId, ToolSet};
use rustc_hash::FxHashMap;

/// What is to be enabled again. `None` means any: the default is everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restart {
    /// What this tool disabled.
    pub tool: Option<ToolId>,
    /// What was disabled in this code object.
    pub code: Option<CodeId>,
    /// What was disabled of this event.
    pub event: Option<Event>,
}

impl Restart {
    fn covers(&self, tool: ToolId, event: Event) -> bool {
        self.tool.is_none_or(|named| named == tool) && self.event.is_none_or(|named| named == event)
    }
}

/// The version of the last restart for each tool and event; 0 if there was none.
#[derive(Clone)]
struct Versions([[u64; Event::COUNT]; ToolId::COUNT]);

impl Versions {
    const NONE: Versions = Versions([[0; Event::COUNT]; ToolId::COUNT]);

    fn note(&mut self, restart: Restart, version: u64) {
        for tool in ToolId::all() {
            for &event in Event::ALL {
                if restart.covers(tool, event) {
                    self.0[tool.index()][event as usize] = version;
                }
            }
        }
    }
}

/// The restarts that scopes may not have heard of.
pub(crate) struct Restarts {
    /// The version of the last one of all, so that scopes that know it need not look further.
    last: u64,
    everywhere: Versions,
    /// Those that named a code object, for as long as a restart of everything has not come after.
    codes: FxHashMap<CodeId, Box<Versions>>,
}

impl Default for Restarts {
    fn default() -> Self {
        Restarts { last: 0, everywhere: Versions::NONE, codes: FxHashMap::default() }
    }
}

impl Restarts {
    /// Notes a restart that brings this version.
    pub(crate) fn note(&mut self, restart: Restart, version: u64) {
        self.last = version;
        match restart.code {
            Some(code) => {
                self.codes.entry(code).or_insert_with(|| Box::new(Versions::NONE)).note(restart, version);
            }
            None => self.everywhere.note(restart, version),
        }
        if restart == Restart::default() {
            self.codes.clear();
        }
    }

    /// The code object died.
    pub(crate) fn forget(&mut self, code: CodeId) {
        self.codes.remove(&code);
    }

    /// For each event the tools for which what they disabled in this code object until `version`
    /// counts no more.
    pub(crate) fn since(&self, version: u64, code: CodeId) -> [ToolSet; Event::COUNT] {
        let mut tools = [ToolSet::EMPTY; Event::COUNT];
        if version < self.last {
            let here = self.codes.get(&code).map_or(&Versions::NONE, |versions| versions);
            for tool in ToolId::all() {
                let (everywhere, here) = (&self.everywhere.0[tool.index()], &here.0[tool.index()]);
                for &event in Event::ALL {
                    if version < everywhere[event as usize].max(here[event as usize]) {
                        tools[event as usize] = tools[event as usize].with(tool);
                    }
                }
            }
        }
        tools
    }
}
