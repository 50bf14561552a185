//! 3.12 and 3.13: which sides of branches a tool listens to, in all code and in single code objects,
//! and which of them it has disabled where.
//!
//! The interpreter has one event for both sides and knows which tools have set it; that stays its
//! affair. What is kept here only says less: that a tool meant one side, and which of two disabled
//! sides it may not disable yet. What is kept of a code object goes with it.

#![forbid(unsafe_code)]

use super::{branches, own};
use crate::by_code::ByCode;
use crate::event_ids;
#[cfg(Py_3_13)]
use crate::producer::Tools;
use crate::producer::{self, WORDS};
use monitrace_core::{Event, EventSet, ToolId, ToolSet};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyCode;
use rustc_hash::FxHashMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

const SIDES: u32 = event_ids::bit(Event::BranchLeft) | event_ids::bit(Event::BranchRight);

/// What a tool has set, as it named it: no bit, `BRANCH`, or one or both sides.
fn named(bits: u32) -> u32 {
    if bits & event_ids::BRANCH != 0 { event_ids::BRANCH } else { bits & SIDES }
}

/// The sides that are meant by a name.
fn meant(name: u32) -> EventSet {
    event_ids::set(name).unwrap_or_default()
}

/// The bits that the interpreter is given for a set, in which `BRANCH` stands for each side.
fn native(bits: u32) -> u32 {
    if bits & SIDES == 0 { bits } else { bits & !SIDES | event_ids::BRANCH }
}

/// The bits by which a set is told that the interpreter has, given how its branches were named.
fn told(bits: u32, name: u32) -> u32 {
    if bits & event_ids::BRANCH != 0 && name & SIDES != 0 { bits & !event_ids::BRANCH | name } else { bits }
}

/// Of one tool.
struct Wants {
    /// How it named the branches that it wants of all code.
    everywhere: AtomicU32,
    /// Whether it has named a side anywhere, since it was cleared.
    names_sides: AtomicBool,
    /// Whether a branch may be disabled for it of which only one side is.
    holds_back: AtomicBool,
}

static WANTS: [Wants; ToolId::COUNT] = [const {
    Wants {
        everywhere: AtomicU32::new(0),
        names_sides: AtomicBool::new(false),
        holds_back: AtomicBool::new(false),
    }
}; ToolId::COUNT];

/// Of one code object.
#[derive(Default)]
struct Record {
    /// The tools with local events.
    tools: ToolSet,
    /// How each tool named the branches that it wants of this code.
    here: [u32; ToolId::COUNT],
    /// By offset.
    branches: FxHashMap<u32, Known>,
}

/// Of one branch.
struct Known {
    /// The offset of the instruction behind it.
    behind: u32,
    /// The restart since which the rest is true.
    restart: u64,
    /// The sides that each tool has disabled.
    disabled: [EventSet; ToolId::COUNT],
    /// The tools for which the interpreter was told to disable it.
    off: ToolSet,
}

static RECORDS: LazyLock<ByCode<Record>> = LazyLock::new(ByCode::new);

/// How often all events were restarted.
static RESTARTS: AtomicU64 = AtomicU64::new(0);

impl Known {
    fn refresh(&mut self) {
        let restart = RESTARTS.load(Relaxed);
        if self.restart != restart {
            *self = Known { restart, ..Known::new(self.behind) };
        }
    }

    fn new(behind: u32) -> Known {
        Known {
            behind,
            restart: RESTARTS.load(Relaxed),
            disabled: [EventSet::empty(); ToolId::COUNT],
            off: ToolSet::EMPTY,
        }
    }
}

// ---- Events ------------------------------------------------------------------------------------

/// Whether a tool is to be told of sides, so that its callback for `BRANCH` cannot be the interpreter's.
pub(super) fn names_sides(tool: ToolId) -> bool {
    WANTS[tool.index()].names_sides.load(Relaxed)
}

/// The tool names a side: from now on its callbacks are called through ours.
fn name_side(py: Python<'_>, tool: ToolId) -> PyResult<()> {
    // Else the interpreter is about to say that the tool is not in use.
    if !own::call(py, intern!(py, "get_tool"), (tool.index(),))?.is_none() {
        branches::join(py, tool)?;
        if !WANTS[tool.index()].names_sides.swap(true, Relaxed) {
            let events: u32 = own::call(py, intern!(py, "get_events"), (tool.index(),))?.extract()?;
            WANTS[tool.index()].everywhere.store(named(events), Relaxed);
        }
    }
    Ok(())
}

/// The events of all code that a tool has set, as bits.
pub(super) fn events(py: Python<'_>, tool: ToolId) -> PyResult<u32> {
    let bits = own::call(py, intern!(py, "get_events"), (tool.index(),))?.extract()?;
    Ok(told(bits, WANTS[tool.index()].everywhere.load(Relaxed)))
}

/// Sets the events of all code that a tool wants, from bits that all stand for events.
///
/// # Errors
/// As the interpreter's own.
pub(super) fn set_events(py: Python<'_>, tool: ToolId, bits: u32) -> PyResult<()> {
    let name = named(bits);
    if name & SIDES != 0 {
        name_side(py, tool)?;
    }
    own::call(py, intern!(py, "set_events"), (tool.index(), native(bits)))?;
    changed(py, tool, WANTS[tool.index()].everywhere.swap(name, Relaxed), name)
}

/// The events of a code object that a tool has set, as bits.
pub(super) fn local_events(py: Python<'_>, tool: ToolId, code: &Bound<'_, PyAny>) -> PyResult<u32> {
    let bits = own::call(py, intern!(py, "get_local_events"), (tool.index(), code))?.extract()?;
    Ok(told(bits, RECORDS.look(code, |record| record.here[tool.index()]).unwrap_or_default()))
}

/// Sets the events of a code object that a tool wants, from bits that all stand for local events.
///
/// # Errors
/// As the interpreter's own.
pub(super) fn set_local_events(
    py: Python<'_>,
    tool: ToolId,
    code: &Bound<'_, PyAny>,
    bits: u32,
) -> PyResult<()> {
    let name = named(bits);
    if name & SIDES != 0 {
        name_side(py, tool)?;
    }
    own::call(py, intern!(py, "set_local_events"), (tool.index(), code, native(bits)))?;
    let note = |record: &mut Record| {
        let this = ToolSet::from(tool);
        record.tools = if bits == 0 { record.tools.without(this) } else { record.tools.union(this) };
        std::mem::replace(&mut record.here[tool.index()], name)
    };
    let before = match bits {
        0 => RECORDS.look(code, note).unwrap_or_default(),
        _ => RECORDS.keep(code, Record::default, note)?,
    };
    changed(py, tool, before, name)
}

/// A tool has named its branches anew, of all code or of some.
fn changed(py: Python<'_>, tool: ToolId, before: u32, now: u32) -> PyResult<()> {
    if before != now && (before | now) & SIDES != 0 {
        // The interpreter's version may be what it was.
        WORDS.raise(WORDS.direct.load(Relaxed) != 0);
    }
    if meant(before).contains(meant(now)) { Ok(()) } else { bring_back(py, tool) }
}

/// The tools that want a side of all code, among those that have set `BRANCH`.
#[cfg(Py_3_13)]
pub(super) fn among(tools: Tools, side: Event) -> Tools {
    ToolId::all().fold(tools, |tools, tool| {
        let wanted = meant(WANTS[tool.index()].everywhere.load(Relaxed));
        let wants = wanted.is_empty() || wanted.contains(side.set());
        if wants { tools } else { tools & !ToolSet::from(tool).bits() }
    })
}

/// Makes the interpreter forget the local events of a tool, and what is known of its sides. Which of
/// them it has disabled stays so until the restart, as everything else that is disabled.
///
/// # Errors
/// As the interpreter's own.
pub(super) fn clear(py: Python<'_>, tool: ToolId) -> PyResult<()> {
    let here = RECORDS.select(py, |record| {
        let has_local_events = record.tools.contains(tool);
        record.tools = record.tools.without(tool.into());
        record.here[tool.index()] = 0;
        has_local_events
    });
    for code in here {
        own::call(py, intern!(py, "set_local_events"), (tool.index(), code, 0))?;
    }
    let wants = &WANTS[tool.index()];
    wants.names_sides.store(false, Relaxed);
    changed(py, tool, wants.everywhere.swap(0, Relaxed), 0)
}

// ---- Disabling ---------------------------------------------------------------------------------

/// One branch, for one tool.
pub(super) struct Branch<'a, 'py> {
    pub(super) tool: ToolId,
    pub(super) code: &'a Bound<'py, PyAny>,
    pub(super) offset: u32,
}

/// What to do about a side that was taken.
pub(super) enum Verdict {
    /// It is wanted.
    Tell,
    /// The other side is.
    Pass,
    /// Neither is.
    Disable,
}

impl Branch<'_, '_> {
    /// Which side leads to a destination, and what to do about it. `find_behind` finds the offset of the
    /// instruction behind the branch: left is the side that goes on there.
    ///
    /// # Errors
    /// Those of `find_behind`.
    pub(super) fn turn(
        &self,
        destination: u32,
        find_behind: impl FnOnce() -> PyResult<u32>,
    ) -> PyResult<(Event, Verdict)> {
        let turned = |record: &mut Record| {
            let behind = record.branches.get(&self.offset)?.behind;
            let side = if destination == behind { Event::BranchLeft } else { Event::BranchRight };
            Some((side, self.judge(record, EventSet::empty(), side)))
        };
        if let Some(known) = RECORDS.look(self.code, turned).flatten() {
            return Ok(known);
        }
        let behind = find_behind()?;
        let turned = RECORDS.keep(self.code, Record::default, |record| {
            record.branches.entry(self.offset).or_insert_with(|| Known::new(behind));
            turned(record)
        })?;
        Ok(turned.unwrap_or((Event::BranchLeft, Verdict::Pass)))
    }

    /// The tool has disabled a side: what that leaves to do.
    pub(super) fn disable(&self, side: Event) -> Verdict {
        RECORDS.look(self.code, |record| self.judge(record, side.set(), side)).unwrap_or(Verdict::Pass)
    }

    fn judge(&self, record: &mut Record, disabled_now: EventSet, side: Event) -> Verdict {
        let tool = self.tool;
        let wanted = wanted(tool, meant(record.here[tool.index()]));
        let Some(branch) = record.branches.get_mut(&self.offset) else { return Verdict::Pass };
        branch.refresh();
        let disabled = &mut branch.disabled[tool.index()];
        *disabled |= disabled_now;
        let left = wanted - *disabled;
        if left.is_empty() {
            branch.off = branch.off.with(tool);
            if !disabled.contains(EventSet::BRANCH) {
                WANTS[tool.index()].holds_back.store(true, Relaxed);
            }
            Verdict::Disable
        } else if left.contains(side.set()) {
            Verdict::Tell
        } else {
            Verdict::Pass
        }
    }
}

/// The sides that a tool wants of code of which it wants some by itself. Where none was named, the event
/// was set in a way that is not known here, and can only be `BRANCH`.
fn wanted(tool: ToolId, here: EventSet) -> EventSet {
    let wanted = here | meant(WANTS[tool.index()].everywhere.load(Relaxed));
    if wanted.is_empty() { EventSet::BRANCH } else { wanted }
}

/// Whether a tool wants a side of code that is not Python's, for which nothing is kept here.
pub(super) fn is_wanted_of(code_like: &Bound<'_, PyAny>, tool: ToolId, side: Event) -> bool {
    let here = if code_like.is_instance_of::<PyCode>() {
        EventSet::empty()
    } else {
        producer::local_events(code_like, tool) & EventSet::BRANCH
    };
    wanted(tool, here).contains(side.set())
}

/// Enables the branches again that the interpreter was told to disable while a tool wanted only the side
/// that it had disabled: it wants more now.
///
/// The interpreter enables them for the tool, and nothing else for anybody, if the event is off when it
/// looks at their code. It looks when local events change.
fn bring_back(py: Python<'_>, tool: ToolId) -> PyResult<()> {
    if !WANTS[tool.index()].holds_back.swap(false, Relaxed) {
        return Ok(());
    }
    let codes = RECORDS.select(py, |record| {
        let mut held_back = false;
        for branch in record.branches.values_mut() {
            branch.refresh();
            if branch.off.contains(tool) && !branch.disabled[tool.index()].contains(EventSet::BRANCH) {
                branch.off = branch.off.without(tool.into());
                held_back = true;
            }
        }
        held_back
    });
    let tool = tool.index();
    let events: u32 = own::call(py, intern!(py, "get_events"), (tool,))?.extract()?;
    own::call(py, intern!(py, "set_events"), (tool, events & !event_ids::BRANCH))?;
    for code in codes {
        let here: u32 = own::call(py, intern!(py, "get_local_events"), (tool, &code))?.extract()?;
        for bits in [here ^ event_ids::BRANCH, here] {
            own::call(py, intern!(py, "set_local_events"), (tool, &code, bits))?;
        }
    }
    own::call(py, intern!(py, "set_events"), (tool, events)).map(drop)
}

/// Enables all that was disabled, for all tools.
///
/// # Errors
/// As the interpreter's own.
pub(super) fn restart(py: Python<'_>) -> PyResult<()> {
    own::call(py, intern!(py, "restart_events"), ())?;
    RESTARTS.fetch_add(1, Relaxed);
    for wants in &WANTS {
        wants.holds_back.store(false, Relaxed);
    }
    Ok(())
}
