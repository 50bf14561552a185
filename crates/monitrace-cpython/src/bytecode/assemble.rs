//! Writes a copy of a code object with hooks. It owns labels, argument sizes and the order in which
//! things stand; it must never decide where an event happens.

use super::depth::Guard;
use super::exception_table::{self, Entry};
use super::instruction::{NONE, encode, extensions};
use super::line_table::{Position, Writer};
use super::opcodes::{
    CALL, JUMP_BACKWARD_NO_INTERRUPT, JUMP_FORWARD, Jump, LOAD_CONST, LOAD_FAST, NOP,
    POP_JUMP_FORWARD_IF_TRUE, POP_TOP, PRECALL, PUSH_EXC_INFO, RERAISE, SEND, SWAP, YIELD_VALUE, facts,
};
use super::places::{Analysis, Side, side};
use super::units::{Block, Moved, Next, START, UnitMap};
use super::{Place, RewriteError};
use monitrace_core::UnitIndex;
use std::ops::Range;

/// The exception table cannot hold larger positions.
const MOST_UNITS: u32 = (1 << 30) - 1;

/// What a copy is to contain.
pub struct Plan<'a> {
    /// Whether to hook the place with this index in [`Analysis::places`].
    pub wanted: &'a dyn Fn(usize) -> bool,
    /// Whether what is raised is to pass a gate.
    pub gates: bool,
    /// The stack size, in slots, of frames that run already. Places whose hook would not fit are
    /// left out, and so are gates; `None` is no limit.
    pub stack_limit: Option<u32>,
    /// Where a running frame enters the copy.
    pub landing: Option<Landing>,
}

/// Where a running frame enters a copy, in units of the original.
///
/// At the landing the frame has a null and a function pushed (two slots more than at its place).
/// Calling that function makes the interpreter load the copy's constants; its result is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landing {
    /// The instruction that contains the unit has just gone on.
    After(UnitIndex),
    /// The instruction that contains `unit` is next, coming from the one that contains `from`.
    At {
        /// What is next.
        unit: UnitIndex,
        /// What ran last.
        from: UnitIndex,
    },
    /// The instruction that contains the unit is next, its hooks have run.
    Own(UnitIndex),
}

/// A hook in a copy. The constant of the hook with index `i` is `const_count + i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// The index of its place in [`Analysis::places`].
    pub place: usize,
    /// Its first unit in the copy.
    pub unit: UnitIndex,
    /// The argument of the `JUMP_FORWARD` that, written over the first unit, leads behind the hook.
    pub skip: u8,
}

/// A block that exceptions pass on their way to one handler, or out of the frame. The constant of the
/// gate with index `i` is `const_count + hooks.len() + i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// Its hook's first unit in the copy.
    pub unit: UnitIndex,
    /// From there to the unit that asks for the constant's truth.
    pub skip: u8,
    /// How many slots of the stack are in use there. The topmost is the exception, and below it lies the
    /// position, in units of the copy, at which it was raised.
    pub depth: u32,
}

/// A copy with hooks.
#[derive(Debug, Clone)]
pub struct Rewritten {
    /// `co_code`.
    pub code: Vec<u8>,
    /// `co_exceptiontable`.
    pub exception_table: Vec<u8>,
    /// `co_linetable`.
    pub line_table: Vec<u8>,
    /// `co_stacksize`, in slots.
    pub stack_size: u32,
    /// The hooks, in the order of the copy.
    pub hooks: Vec<Hook>,
    /// The gates, in the order of the copy: each in front of its handler, that of what leaves the frame
    /// behind all instructions.
    pub gates: Vec<Gate>,
    /// The first unit of the landing, behind everything else.
    pub landing: Option<UnitIndex>,
    /// How many slots a frame has in use when it enters there, the two that are pushed included.
    pub landing_depth: Option<u32>,
    /// Where everything went.
    pub units: UnitMap,
}

impl Rewritten {
    /// How many constants the copy has behind those of the original: its hooks, then its gates.
    pub fn added_consts(&self) -> u32 {
        (self.hooks.len() + self.gates.len()) as u32
    }

    /// See [`UnitMap::original_unit`].
    pub fn original_unit(&self, copy: UnitIndex) -> UnitIndex {
        self.units.original_unit(copy)
    }

    /// See [`UnitMap::next`].
    pub fn next(&self, copy: UnitIndex) -> Next {
        self.units.next(copy)
    }

    /// See [`UnitMap::copy_unit`].
    pub fn copy_unit(&self, original: UnitIndex) -> Option<UnitIndex> {
        self.units.copy_unit(original)
    }

    /// See [`UnitMap::resume_after`].
    pub fn resume_after(&self, original: UnitIndex) -> Option<UnitIndex> {
        self.units.resume_after(original)
    }

    /// See [`UnitMap::enter_at`].
    pub fn enter_at(&self, original: UnitIndex, from: UnitIndex) -> Option<UnitIndex> {
        self.units.enter_at(original, from)
    }
}

/// What stands in the copy as one piece, with one position and one guard.
#[derive(Debug, Clone, Copy)]
struct Item {
    opcode: u8,
    extended: u8,
    /// How many units follow the opcode's: inline caches, or the second half of a hook.
    tail: u8,
    jump: Jump,
    is_hook: bool,
    is_gate: bool,
    is_landing: bool,
    /// The instruction whose position it has, or [`NONE`].
    position: u32,
    arg: u32,
    /// Where it jumps, if `jump` is not [`Jump::No`].
    label: Label,
    /// The instruction that it belongs to.
    owner: u32,
    guard: u32,
}

impl Item {
    /// A `NOP` that belongs to an instruction.
    fn nop(owner: u32, guard: u32) -> Item {
        Item {
            opcode: NOP,
            extended: 0,
            tail: 0,
            jump: Jump::No,
            is_hook: false,
            is_gate: false,
            is_landing: false,
            position: owner,
            arg: 0,
            label: Label::Past(owner),
            owner,
            guard,
        }
    }

    fn units(&self) -> u32 {
        u32::from(self.extended) + 1 + u32::from(self.tail)
    }
}

/// Where a jump leads: to which part of an instruction's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Enter(u32),
    Past(u32),
    Own(u32),
    Behind(u32),
}

/// The items of one instruction, as indices.
#[derive(Debug, Clone, Copy, Default)]
struct Parts {
    first: u32,
    enter: u32,
    past: u32,
    own: u32,
}

/// The way of an exception, from where it is raised. Those from a handler's own line enter it elsewhere
/// than others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// To the handler of guards like this one.
    Into { guard: u32, label: Label },
    /// Out of the frame.
    Out,
}

/// A gate as items.
struct GateItems {
    items: Range<usize>,
    /// The depth of the stack at its hook.
    depth: u32,
}

/// The items of a landing.
struct Pad {
    first: u32,
    /// The unit of the original that it stands for.
    stands_for: u32,
    /// The depth of the stack where it begins.
    depth: u32,
}

struct Assembler<'a> {
    analysis: &'a Analysis,
    items: Vec<Item>,
    parts: Vec<Parts>,
    /// The place and the item of each hook.
    hooks: Vec<(usize, u32)>,
    gates: Vec<GateItems>,
    /// The index of each way's gate, by [`Assembler::way_index`].
    gate_of: Vec<Option<usize>>,
    stack_size: u32,
}

impl Analysis {
    /// Writes a copy with hooks at the places that are wanted.
    ///
    /// # Errors
    ///
    /// [`RewriteError::Landing`] if the plan's landing is no reachable instruction or does not fit,
    /// [`RewriteError::Send`] and [`RewriteError::Length`] for code that grows too large.
    pub fn assemble(&self, plan: &Plan<'_>) -> Result<Rewritten, RewriteError> {
        let mut assembler = Assembler {
            analysis: self,
            items: Vec::with_capacity(self.instructions.len() + self.places.len() + 8),
            parts: Vec::with_capacity(self.instructions.len()),
            hooks: Vec::new(),
            gates: Vec::new(),
            gate_of: vec![None; 2 * self.guards.len() + 1],
            stack_size: self.stack_size,
        };
        assembler.add_instructions(plan)?;
        assembler.number_gates()?;
        let landing =
            plan.landing.map(|landing| assembler.add_landing(landing, plan.stack_limit)).transpose()?;
        assembler.finish(landing)
    }
}

impl Assembler<'_> {
    fn add_instructions(&mut self, plan: &Plan<'_>) -> Result<(), RewriteError> {
        let analysis = self.analysis;
        let mut next_place = 0;
        // Without a RESUME no part of the code is the program's.
        let has_gates = plan.gates && analysis.first < analysis.instructions.len();
        let ways = if has_gates { self.ways_in() } else { Vec::new() };
        let mut ways = ways.into_iter().peekable();
        for k in 0..analysis.instructions.len() {
            let mut wanted = [None; 3];
            while analysis.instruction_of.get(next_place) == Some(&(k as u32)) {
                let place = &analysis.places[next_place];
                let fits = plan.stack_limit.is_none_or(|limit| place.depth < limit);
                if let Some(side) = side(place.event).filter(|_| fits && (plan.wanted)(next_place)) {
                    wanted[side as usize] = Some(next_place);
                }
                next_place += 1;
            }
            let mut gates = Vec::new();
            while let Some((_, way)) = ways.next_if(|&(handler, _)| handler as usize == k) {
                gates.push(way);
            }
            self.add_instruction(k, wanted, &gates, plan.stack_limit)?;
        }
        if has_gates {
            let owner = analysis.first as u32;
            self.add_gate(Way::Out, plan.stack_limit, Item::nop(owner, NONE))?;
        }
        Ok(())
    }

    /// Adds one instruction with the gates in front of it and the hooks of its three sides.
    fn add_instruction(
        &mut self,
        k: usize,
        wanted: [Option<usize>; 3],
        gates: &[Way],
        limit: Option<u32>,
    ) -> Result<(), RewriteError> {
        let analysis = self.analysis;
        let line_hook = wanted[Side::BeforeFromOtherLine as usize];
        let before_hook = wanted[Side::Before as usize];
        let behind_hook = wanted[Side::Behind as usize];
        let instruction = &analysis.instructions[k];
        let (owner, guard) = (k as u32, analysis.guarded_by[k]);
        let mut parts = Parts { first: self.items.len() as u32, ..Parts::default() };
        let plain = Item::nop(owner, guard);

        if let Some(previous) = k.checked_sub(1).filter(|&p| analysis.instructions[p].row.goes_on()) {
            let into_line_hook = line_hook.is_some() && analysis.changes_line(previous, k);
            if (line_hook.is_some() && !into_line_hook) || !gates.is_empty() {
                let label = if into_line_hook { Label::Enter(owner) } else { Label::Past(owner) };
                self.items.push(Item { opcode: JUMP_FORWARD, jump: Jump::Forward, label, ..plain });
            } else if (into_line_hook || before_hook.is_some()) && analysis.opcode(previous) == LOAD_FAST {
                self.items.push(plain);
            }
        }
        for &way in gates {
            self.add_gate(way, limit, plain)?;
        }
        parts.enter = self.items.len() as u32;
        if let Some(place) = line_hook {
            self.add_hook(place, Item { guard: self.guard_before(k), ..plain })?;
        }
        parts.past = self.items.len() as u32;
        if let Some(place) = before_hook {
            // A call's is that of the instruction that makes it.
            let to = analysis.containing(UnitIndex(analysis.places[place].offset.0 / 2));
            self.add_hook(place, Item { position: to.map_or(owner, |to| to as u32), ..plain })?;
        }
        parts.own = self.items.len() as u32;
        let target = instruction.target;
        let label = match target {
            NONE => plain.label,
            _ if analysis.changes_line(k, target as usize) => Label::Enter(target),
            _ => Label::Past(target),
        };
        self.items.push(Item {
            opcode: instruction.opcode(),
            extended: instruction.extended,
            tail: instruction.row.caches,
            jump: instruction.row.jump,
            arg: instruction.arg,
            label,
            ..plain
        });
        if let Some(place) = behind_hook {
            // With a position behind RESUME, a trace function would see a line that is not there.
            let position = if analysis.is_start(k) { NONE } else { owner };
            self.add_hook(place, Item { position, ..plain })?;
        }
        self.parts.push(parts);
        Ok(())
    }

    fn add_hook(&mut self, place: usize, plain: Item) -> Result<(), RewriteError> {
        let Place { depth, .. } = self.analysis.places[place];
        let item = self.hook_item(self.hooks.len(), depth, plain)?;
        self.hooks.push((place, self.items.len() as u32));
        self.items.push(item);
        Ok(())
    }

    /// A hook with so many slots of the stack in use before it, whose constant is the `nth` of ours.
    fn hook_item(&mut self, nth: usize, depth: u32, plain: Item) -> Result<Item, RewriteError> {
        let arg = self.const_arg(nth)?;
        self.stack_size = self.stack_size.max(depth + 1);
        let extended = extensions(arg);
        Ok(Item { opcode: LOAD_CONST, extended, tail: 1, is_hook: true, arg, ..plain })
    }

    fn const_arg(&self, nth: usize) -> Result<u32, RewriteError> {
        let arg = u32::try_from(nth).ok().and_then(|i| self.analysis.const_count.checked_add(i));
        arg.ok_or(RewriteError::Length)
    }

    /// Where an exception enters the handler of one of the original's guards.
    fn handler_label(&self, owner: u32, guard: u32) -> Option<Label> {
        let handler = self.analysis.guards.get(guard as usize)?.handler;
        let changes = self.analysis.changes_line_by_raising(owner as usize, handler as usize);
        Some(if changes { Label::Enter(handler) } else { Label::Past(handler) })
    }

    /// The way that what an item raises takes.
    fn way(&self, item: &Item) -> Way {
        match (self.analysis.guards.get(item.guard as usize), self.handler_label(item.owner, item.guard)) {
            (Some(guard), Some(label)) => Way::Into { guard: guard.alike, label },
            _ => Way::Out,
        }
    }

    /// The gate of what an item raises, if it has one.
    fn gate(&self, item: &Item) -> Option<&GateItems> {
        if item.is_gate || item.is_landing || (item.owner as usize) < self.analysis.first {
            return None;
        }
        self.gate_of[self.way_index(self.way(item))].map(|index| &self.gates[index])
    }

    /// A small number for each way.
    fn way_index(&self, way: Way) -> usize {
        match way {
            Way::Into { guard, label } => 2 * guard as usize + usize::from(matches!(label, Label::Past(_))),
            Way::Out => 2 * self.analysis.guards.len(),
        }
    }

    /// The ways into each handler that something can take, in the order of the handlers.
    fn ways_in(&self) -> Vec<(u32, Way)> {
        let analysis = self.analysis;
        let mut ways = vec![None; 2 * analysis.guards.len()];
        for k in analysis.first..analysis.instructions.len() {
            for guard in [analysis.guarded_by[k], self.guard_before(k)] {
                if let Some(label) = self.handler_label(k as u32, guard).filter(|_| analysis.is_reached(k)) {
                    let way = Way::Into { guard: analysis.guards[guard as usize].alike, label };
                    ways[self.way_index(way)] = Some(way);
                }
            }
        }
        let handler = |way: &Way| match *way {
            Way::Into { guard, .. } => analysis.guards[guard as usize].handler,
            Way::Out => NONE,
        };
        let mut ways: Vec<_> = ways.into_iter().flatten().map(|way| (handler(&way), way)).collect();
        ways.sort_unstable();
        ways
    }

    /// Adds a gate, unless there is no room for it. `like` says to which instruction it belongs.
    fn add_gate(&mut self, way: Way, limit: Option<u32>, like: Item) -> Result<(), RewriteError> {
        let (kept, pops, index) = match way {
            Way::Into { guard, .. } => {
                let Guard { depth, lasti, .. } = self.analysis.guards[guard as usize];
                (depth, !lasti, guard)
            }
            Way::Out => (0, false, NONE),
        };
        let depth = kept + 2;
        if limit.is_some_and(|limit| depth + 1 > limit) {
            return Ok(());
        }
        let start = self.items.len();
        let label = if let Way::Into { label, .. } = way { label } else { like.label };
        // What comes from the handler's own line comes from there for a trace function too.
        let is_there = matches!(label, Label::Past(_)) && way != Way::Out;
        let position = if is_there { like.owner } else { NONE };
        let plain = Item { is_gate: true, position, label, guard: index, ..like };
        // Which constant it is, is known when all hooks are.
        let hook = self.hook_item(0, depth, plain)?;
        self.items.push(hook);
        if way == Way::Out {
            self.items.push(Item { opcode: RERAISE, arg: 1, ..plain });
        } else {
            if pops {
                self.items.push(Item { opcode: SWAP, arg: 2, ..plain });
                self.items.push(Item { opcode: POP_TOP, ..plain });
            }
            // Not backward: a trace function would see a line again.
            self.items.push(Item { opcode: JUMP_FORWARD, jump: Jump::Forward, ..plain });
        }
        let index = self.way_index(way);
        self.gate_of[index] = Some(self.gates.len());
        self.gates.push(GateItems { items: start..self.items.len(), depth });
        Ok(())
    }

    /// Numbers the constants of the gates behind those of the hooks.
    fn number_gates(&mut self) -> Result<(), RewriteError> {
        for i in 0..self.gates.len() {
            let arg = self.const_arg(self.hooks.len() + i)?;
            let hook = &mut self.items[self.gates[i].items.start];
            (hook.arg, hook.extended) = (arg, extensions(arg));
        }
        Ok(())
    }

    /// The guard of a hook before instruction `k`.
    ///
    /// At PUSH_EXC_INFO it is not that of the instruction: the guard of an `except` block's body
    /// ends in POP_EXCEPT, which would take the exception itself for the one that was handled
    /// before. An exception from the hook goes where one from that clean-up would go.
    fn guard_before(&self, k: usize) -> u32 {
        let guard = self.analysis.guarded_by[k];
        match self.analysis.guards.get(guard as usize) {
            Some(body) if self.analysis.opcode(k) == PUSH_EXC_INFO => {
                self.analysis.guarded_by[body.handler as usize]
            }
            _ => guard,
        }
    }

    fn add_landing(&mut self, landing: Landing, limit: Option<u32>) -> Result<Pad, RewriteError> {
        let analysis = self.analysis;
        let unit = match landing {
            Landing::After(unit) | Landing::At { unit, .. } | Landing::Own(unit) => unit,
        };
        let refused = RewriteError::Landing(unit);
        let containing = |unit| analysis.containing(unit).ok_or(refused);
        let k = containing(unit)?;
        let instruction = &analysis.instructions[k];
        let (label, depth) = match landing {
            Landing::After(_) if !instruction.row.goes_on() => return Err(refused),
            Landing::After(_) => (Label::Behind(k as u32), analysis.depths[k + 1]),
            Landing::At { from, .. } if analysis.changes_line(containing(from)?, k) => {
                (Label::Enter(k as u32), analysis.depths[k])
            }
            Landing::At { .. } => (Label::Past(k as u32), analysis.depths[k]),
            Landing::Own(_) => (Label::Own(k as u32), analysis.depths[k]),
        };
        if limit.is_some_and(|limit| depth + 2 > limit) {
            return Err(refused);
        }
        self.stack_size = self.stack_size.max(depth + 2);
        let first = self.items.len() as u32;
        for opcode in [PRECALL, CALL, POP_TOP, JUMP_BACKWARD_NO_INTERRUPT] {
            let row = facts(opcode).ok_or(refused)?;
            let plain = Item::nop(k as u32, analysis.guarded_by[k]);
            let (tail, jump) = (row.caches, row.jump);
            self.items.push(Item { opcode, tail, jump, label, is_landing: true, position: NONE, ..plain });
        }
        Ok(Pad { first, stands_for: instruction.opcode_unit(), depth: depth + 2 })
    }

    fn item(&self, label: Label) -> usize {
        let item = match label {
            Label::Enter(k) => self.parts[k as usize].enter,
            Label::Past(k) => self.parts[k as usize].past,
            Label::Own(k) => self.parts[k as usize].own,
            Label::Behind(k) => self.parts[k as usize].own + 1,
        };
        item as usize
    }

    /// Gives every jump its argument. Returns the first unit of each item, and the length.
    ///
    /// Sizes only grow, from those of the original, so this ends.
    fn place_items(&mut self) -> Result<Vec<u32>, RewriteError> {
        let mut starts = vec![0; self.items.len() + 1];
        loop {
            let mut end = 0u32;
            for (item, start) in self.items.iter().zip(&mut starts[1..]) {
                end += item.units();
                *start = end;
            }
            if end > MOST_UNITS {
                return Err(RewriteError::Length);
            }
            let mut grown = false;
            for i in 0..self.items.len() {
                let item = &self.items[i];
                if item.jump == Jump::No {
                    continue;
                }
                let arg = starts[i + 1].abs_diff(starts[self.item(item.label)]);
                let needed = extensions(arg);
                if needed > item.extended && item.opcode == SEND {
                    let followed_by = self.items.get(i + 1).map(|next| next.opcode);
                    if followed_by == Some(YIELD_VALUE) {
                        let start = self.analysis.instructions[item.owner as usize].start;
                        return Err(RewriteError::Send(UnitIndex(start)));
                    }
                }
                let item = &mut self.items[i];
                item.arg = arg;
                if needed > item.extended {
                    item.extended = needed;
                    grown = true;
                }
            }
            if !grown {
                return Ok(starts);
            }
        }
    }

    fn finish(mut self, landing: Option<Pad>) -> Result<Rewritten, RewriteError> {
        let starts = self.place_items()?;
        let length = starts[self.items.len()];
        let analysis = self.analysis;

        let mut code = Vec::with_capacity(2 * length as usize);
        let mut lines = Writer::new(
            analysis.first_line,
            analysis.line_table_length + 6 * (self.items.len() - analysis.instructions.len()),
        );
        for item in &self.items {
            encode(item.opcode, item.arg, item.extended, &mut code);
            if item.is_hook {
                code.extend([POP_JUMP_FORWARD_IF_TRUE, 0]);
            } else {
                code.resize(code.len() + 2 * usize::from(item.tail), 0);
            }
            let position = analysis.positions.get(item.position as usize).copied();
            lines.add(item.units(), position.unwrap_or(Position::NONE));
        }

        let mut hooked = vec![NONE; self.parts.len()];
        let hooks = self.hooks.iter().map(|&(place, item)| {
            let of_item = &self.items[item as usize];
            if side(analysis.places[place].event) != Some(Side::BeforeFromOtherLine) {
                hooked[of_item.owner as usize] = analysis.places[place].offset.0 / 2;
            }
            let skip = (of_item.units() - 1) as u8;
            Hook { place, unit: UnitIndex(starts[item as usize]), skip }
        });
        let hooks = hooks.collect();
        let gates = self.gates.iter().map(|gate| {
            let skip = (self.items[gate.items.start].units() - 1) as u8;
            Gate { unit: UnitIndex(starts[gate.items.start]), skip, depth: gate.depth }
        });
        let of_gates =
            self.gates.iter().map(|gate| starts[gate.items.start]..starts[gate.items.end]).collect();
        let way_out = self.gate_of[self.way_index(Way::Out)].map(|index| {
            let item = self.gates[index].items.start;
            let owner = &analysis.instructions[self.items[item].owner as usize];
            Block { start: starts[item], stands_for: owner.start }
        });
        let pad = landing.as_ref();
        let pad = pad.map(|pad| Block { start: starts[pad.first as usize], stands_for: pad.stands_for });
        let blocks: Box<[Block]> = way_out.into_iter().chain(pad).collect();
        let moved = self.parts.iter().enumerate().map(|(k, parts)| Moved {
            original: analysis.instructions[k].start,
            line: if analysis.is_start(k) { START } else { analysis.positions[k].line_or_none() },
            first: starts[parts.first as usize],
            enter: starts[parts.enter as usize],
            past: starts[parts.past as usize],
            own: starts[parts.own as usize],
            last: starts[parts.own as usize + 1] - 1,
            hooked: hooked[k],
        });
        let units = UnitMap {
            moved: moved.collect(),
            original_length: analysis.instructions.last().map_or(0, |last| last.end()),
            gates: of_gates,
            in_line: blocks.first().map_or(length, |block| block.start),
            blocks,
        };
        Ok(Rewritten {
            exception_table: self.exception_table(&starts),
            line_table: lines.finish(),
            stack_size: self.stack_size,
            hooks,
            gates: gates.collect(),
            landing: landing.as_ref().map(|pad| UnitIndex(starts[pad.first as usize])),
            landing_depth: landing.map(|pad| pad.depth),
            code,
            units,
        })
    }

    /// One entry for each run of items with the same guard that enter its handler at the same unit.
    fn exception_table(&self, starts: &[u32]) -> Vec<u8> {
        let analysis = self.analysis;
        let mut table = Vec::new();
        let mut run: Option<(u32, Entry)> = None;
        for (i, item) in self.items.iter().enumerate() {
            let (start, end) = (starts[i], starts[i + 1]);
            let entry = match (self.gate(item), analysis.guards.get(item.guard as usize)) {
                (Some(gate), _) => {
                    let target = starts[gate.items.start];
                    Some(Entry { start, end, target, depth: gate.depth - 2, lasti: true })
                }
                (None, Some(guard)) => {
                    // What is raised in a gate goes where the gate leads.
                    let into = self.handler_label(item.owner, item.guard);
                    let into = if item.is_gate { Some(item.label) } else { into };
                    into.map(|into| {
                        let target = starts[self.item(into)];
                        Entry { start, end, target, depth: guard.depth, lasti: guard.lasti }
                    })
                }
                (None, None) => None,
            };
            match (&mut run, entry) {
                (Some((guard, run)), Some(entry)) if *guard == item.guard && run.target == entry.target => {
                    run.end = entry.end;
                }
                _ => {
                    if let Some((_, entry)) = run.take() {
                        exception_table::encode(&entry, &mut table);
                    }
                    run = entry.map(|entry| (item.guard, entry));
                }
            }
        }
        if let Some((_, entry)) = run {
            exception_table::encode(&entry, &mut table);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::super::listing::{Listing, bytes_of, show};
    use super::super::{Operands, verify};
    use super::*;
    use monitrace_core::Event;

    const ALL: Plan<'static> = Plan { wanted: &|_| true, gates: false, stack_limit: None, landing: None };

    fn lines_of(listing: &str) -> Vec<&str> {
        listing.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
    }

    #[track_caller]
    fn assert_listing(copy: &Rewritten, expected: &str) {
        verify(&bytes_of(copy)).unwrap();
        let shown = show(&bytes_of(copy));
        assert_eq!(lines_of(&shown), lines_of(expected), "\n{shown}");
    }

    #[test]
    fn edges_are_sorted_by_line() {
        // Instruction 5 (line 3) is reached from line 2 by a jump and from line 3 by going on.
        let code = Listing::new(
            1,
            "1 RESUME 0
             2 LOAD_FAST 0
             2 POP_JUMP_FORWARD_IF_TRUE @join
             3 LOAD_FAST 0
             3 POP_TOP
       join: 3 LOAD_CONST 0
             3 RETURN_VALUE",
        );
        let analysis = Analysis::new(&code.bytes()).unwrap();
        let events: Vec<_> =
            analysis.places().iter().map(|place| (place.event, place.offset.0, place.depth)).collect();
        assert_eq!(
            events,
            [
                (Event::PyStart, 0, 0),
                (Event::Line, 2, 0),
                (Event::Line, 6, 0),
                (Event::Line, 10, 0),
                (Event::PyReturn, 12, 1),
            ]
        );
        let copy = analysis.assemble(&ALL).unwrap();
        assert_eq!(copy.stack_size, 2);
        assert_listing(
            &copy,
            " 0 1 RESUME 0
              1 - LOAD_CONST 4
              2 - POP_JUMP_FORWARD_IF_TRUE to 3
              3 2 LOAD_CONST 5
              4 2 POP_JUMP_FORWARD_IF_TRUE to 5
              5 2 LOAD_FAST 0
              6 2 POP_JUMP_FORWARD_IF_TRUE to 12
              7 3 LOAD_CONST 6
              8 3 POP_JUMP_FORWARD_IF_TRUE to 9
              9 3 LOAD_FAST 0
             10 3 POP_TOP 0
             11 3 JUMP_FORWARD to 14
             12 3 LOAD_CONST 7
             13 3 POP_JUMP_FORWARD_IF_TRUE to 14
             14 3 LOAD_CONST 0
             15 3 LOAD_CONST 8
             16 3 POP_JUMP_FORWARD_IF_TRUE to 17
             17 3 RETURN_VALUE 0",
        );
        // Entering instruction 5 by its units, from line 2 and from line 3.
        let at = UnitIndex;
        assert_eq!(copy.enter_at(at(5), at(2)), Some(at(12)));
        assert_eq!(copy.enter_at(at(5), at(4)), Some(at(14)));
        assert_eq!(copy.enter_at(at(1), at(0)), Some(at(3)));
        assert_eq!(copy.resume_after(at(4)), Some(at(10)));
        assert_eq!(copy.enter_at(at(7), at(0)), None);
        assert_eq!(copy.resume_after(at(7)), None);
    }

    #[test]
    fn a_nop_keeps_load_fast_from_a_hook() {
        let code = Listing::new(1, "1 RESUME 0\n 1 LOAD_FAST 0\n 1 RETURN_VALUE");
        let analysis = Analysis::new(&code.bytes()).unwrap();
        let returns = |place: usize| analysis.places()[place].event == Event::PyReturn;
        let copy = analysis.assemble(&Plan { wanted: &returns, ..ALL }).unwrap();
        assert_listing(
            &copy,
            " 0 1 RESUME 0
              1 1 LOAD_FAST 0
              2 1 NOP 0
              3 1 LOAD_CONST 4
              4 1 POP_JUMP_FORWARD_IF_TRUE to 5
              5 1 RETURN_VALUE 0",
        );
    }

    #[test]
    fn a_hook_that_does_not_fit_is_left_out() {
        let code = Listing::new(1, "1 RESUME 0\n 2 LOAD_CONST 0\n 2 RETURN_VALUE");
        let analysis = Analysis::new(&code.bytes()).unwrap();
        let copy = analysis.assemble(&Plan { stack_limit: Some(1), ..ALL }).unwrap();
        let hooked: Vec<_> = copy.hooks.iter().map(|hook| analysis.places()[hook.place].event).collect();
        assert_eq!(hooked, [Event::PyStart, Event::Line]);
        assert_eq!(copy.stack_size, 1);
    }

    #[test]
    fn a_landing_leads_behind_or_before_its_instruction() {
        let code =
            Listing::new(3, "1 RESUME 0\n 2 LOAD_CONST 0\n 3 POP_TOP\n 3 LOAD_CONST 0\n 3 RETURN_VALUE");
        let analysis = Analysis::new(&code.bytes()).unwrap();
        let at = UnitIndex;
        let enter = |landing| {
            let copy = analysis.assemble(&Plan { landing: Some(landing), ..ALL }).unwrap();
            let start = copy.landing.unwrap();
            // The target of the jump backward, which is the copy's last unit.
            let back = u32::from(*copy.code.last().unwrap());
            (copy.original_unit(start), at(copy.code.len() as u32 / 2 - back), copy)
        };
        let (stands_for, target, copy) = enter(Landing::After(at(1)));
        assert_eq!((stands_for, target.0), (at(1), copy.resume_after(at(1)).unwrap().0 + 1));
        let (stands_for, target, copy) = enter(Landing::At { unit: at(2), from: at(1) });
        assert_eq!((stands_for, Some(target)), (at(2), copy.enter_at(at(2), at(1))));
        let (_, target, copy) = enter(Landing::At { unit: at(2), from: at(3) });
        assert_eq!(Some(target), copy.enter_at(at(2), at(3)));

        for landing in
            [Landing::After(at(4)), Landing::After(at(5)), Landing::At { unit: at(1), from: at(5) }]
        {
            let plan = Plan { landing: Some(landing), ..ALL };
            assert!(matches!(analysis.assemble(&plan), Err(RewriteError::Landing(_))), "{landing:?}");
        }
        let plan = Plan { landing: Some(Landing::After(at(1))), stack_limit: Some(2), ..ALL };
        assert_eq!(analysis.assemble(&plan).err(), Some(RewriteError::Landing(at(1))));
    }

    #[test]
    fn handlers_are_entered_by_line_and_a_failing_hook_leaves_the_handler() {
        // try: (lines 2 and 3) ... except: (line 3), whose body has a clean-up (unit 9).
        let mut code = Listing::new(
            4,
            "1 RESUME 0
             2 LOAD_CONST 0
             2 POP_TOP
             3 LOAD_CONST 0
             3 RETURN_VALUE
             3 PUSH_EXC_INFO
             3 POP_TOP
             3 POP_EXCEPT
             3 JUMP_BACKWARD 6
             - COPY 3
             - POP_EXCEPT
             - RERAISE 1",
        );
        // Units 1 to 5 go to 5 with depth 0, units 5 to 7 to 9 with depth 1 and the position.
        code.exception_table = vec![0x80 | 1, 4, 5, 0, 0x80 | 5, 2, 9, 1 << 1 | 1];
        verify(&code.bytes()).unwrap();
        let analysis = Analysis::new(&code.bytes()).unwrap();
        let handler =
            analysis.places().iter().position(|p| p.event == Event::Line && p.offset.0 == 10).unwrap();
        let copy = analysis.assemble(&Plan { wanted: &|place| place == handler, ..ALL }).unwrap();
        verify(&bytes_of(&copy)).unwrap();

        let entries = exception_table::decode(&copy.exception_table).unwrap();
        let targets: Vec<_> = entries.iter().map(|entry| (entry.start, entry.end, entry.target)).collect();
        let hook = copy.hooks[0].unit.0;
        // Line 2 enters before the hook, line 3 behind it; the hook itself has no handler.
        assert_eq!(targets, [(1, 3, hook), (3, 5, hook + 2), (hook + 2, hook + 4, hook + 6)]);
    }

    #[test]
    fn what_is_raised_passes_a_gate() {
        // try: (lines 2 and 3) ... except: (line 3); unit 1 to 5 are guarded, the rest is not.
        let mut code = Listing::new(
            4,
            "1 RESUME 0
             2 LOAD_CONST 0
             2 POP_TOP
             3 LOAD_CONST 0
             3 RETURN_VALUE
             3 PUSH_EXC_INFO
             3 RERAISE 0",
        );
        code.exception_table = vec![0x80 | 1, 4, 5, 0];
        verify(&code.bytes()).unwrap();
        let analysis = Analysis::new(&code.bytes()).unwrap();
        let plan = Plan { wanted: &|_| false, gates: true, ..ALL };
        let copy = analysis.assemble(&plan).unwrap();
        assert_listing(
            &copy,
            " 0 1 RESUME 0
              1 2 LOAD_CONST 0
              2 2 POP_TOP 0
              3 3 LOAD_CONST 0
              4 3 RETURN_VALUE 0
              5 - LOAD_CONST 4
              6 - POP_JUMP_FORWARD_IF_TRUE to 7
              7 - SWAP 2
              8 - POP_TOP 0
              9 - JUMP_FORWARD to 15
             10 3 LOAD_CONST 5
             11 3 POP_JUMP_FORWARD_IF_TRUE to 12
             12 3 SWAP 2
             13 3 POP_TOP 0
             14 3 JUMP_FORWARD to 15
             15 3 PUSH_EXC_INFO 0
             16 3 RERAISE 0
             17 - LOAD_CONST 6
             18 - POP_JUMP_FORWARD_IF_TRUE to 19
             19 - RERAISE 1",
        );
        let entries = exception_table::decode(&copy.exception_table).unwrap();
        let ways: Vec<_> =
            entries.iter().map(|entry| (entry.start, entry.end, entry.target, entry.lasti)).collect();
        // Line 2 and line 3 have a gate each, and what is raised in one goes on to the handler itself.
        let guarded = [(1, 3, 5, true), (3, 5, 10, true), (5, 15, 15, false)];
        let out = [(0, 1, 17, true), (15, 17, 17, true)];
        assert_eq!(ways, [out[0], guarded[0], guarded[1], guarded[2], out[1]]);
        assert_eq!(copy.gates.iter().map(|gate| gate.depth).collect::<Vec<_>>(), [2; 3]);
        let at = UnitIndex;
        assert_eq!((copy.next(at(12)), copy.next(at(18))), (Next::Elsewhere, Next::Elsewhere));
        assert_eq!(copy.next(at(15)), Next::Instruction(at(5)));
        // No room for the position and the hook: no gates.
        let tight = analysis.assemble(&Plan { stack_limit: Some(2), ..plan }).unwrap();
        assert!(tight.gates.is_empty());
        assert_eq!(tight.exception_table, code.exception_table);
    }

    #[test]
    fn a_call_is_hooked_before_and_behind_all_of_it() {
        let code = Listing::new(
            4,
            "1 RESUME 0
             2 PUSH_NULL
             2 LOAD_CONST 0
             2 LOAD_FAST 0
             - KW_NAMES 0
             2 PRECALL 1
             2 CALL 1
             2 POP_TOP
             2 PUSH_NULL
             2 LOAD_CONST 0
             2 LOAD_CONST 0
             2 CALL_FUNCTION_EX 0
             2 RETURN_VALUE",
        );
        let analysis = Analysis::new(&code.bytes()).unwrap();
        let places = analysis.places();
        let is_call =
            |place: usize| matches!(places[place].event, Event::Call | Event::CReturn | Event::CRaise);
        let calls: Vec<_> = (0..places.len())
            .filter(|&place| is_call(place))
            .map(|place| {
                (places[place].event, places[place].offset.0, places[place].depth, places[place].call)
            })
            .collect();
        let (each, packed) = (Operands::Each(1), Operands::Packed { named: false });
        assert_eq!(
            calls,
            [
                (Event::Call, 14, 3, Some(each)),
                (Event::CReturn, 14, 1, None),
                (Event::CRaise, 14, 3, None),
                (Event::Call, 32, 3, Some(packed)),
                (Event::CReturn, 32, 1, None),
                (Event::CRaise, 32, 3, None),
            ]
        );
        let copy = analysis.assemble(&Plan { wanted: &is_call, ..ALL }).unwrap();
        assert_listing(
            &copy,
            " 0 1 RESUME 0
              1 2 PUSH_NULL 0
              2 2 LOAD_CONST 0
              3 2 LOAD_FAST 0
              4 - NOP 0
              5 2 LOAD_CONST 4
              6 2 POP_JUMP_FORWARD_IF_TRUE to 7
              7 - KW_NAMES 0
              8 2 PRECALL 1
             10 2 CALL 1
             15 2 LOAD_CONST 5
             16 2 POP_JUMP_FORWARD_IF_TRUE to 17
             17 2 POP_TOP 0
             18 2 PUSH_NULL 0
             19 2 LOAD_CONST 0
             20 2 LOAD_CONST 0
             21 2 LOAD_CONST 6
             22 2 POP_JUMP_FORWARD_IF_TRUE to 23
             23 2 CALL_FUNCTION_EX 0
             24 2 LOAD_CONST 7
             25 2 POP_JUMP_FORWARD_IF_TRUE to 26
             26 2 RETURN_VALUE 0",
        );
        let at = UnitIndex;
        // A frame in a hook is shown at the call; it goes on at what the hook stands at.
        assert_eq!((copy.original_unit(at(6)), copy.next(at(5))), (at(7), Next::Instruction(at(4))));
        assert_eq!(copy.next(at(7)), Next::Own(at(4)));
        assert_eq!((copy.original_unit(at(16)), copy.next(at(15))), (at(7), Next::Behind(at(7))));
        assert_eq!((copy.original_unit(at(25)), copy.next(at(23))), (at(16), Next::Own(at(16))));
    }

    #[test]
    fn the_jump_of_a_send_stays_one_byte() {
        let filler = "3 LOAD_CONST 0\n 4 POP_TOP\n".repeat(126);
        let text = format!(
            "1 RESUME 0
             2 LOAD_CONST 0
             2 GET_YIELD_FROM_ITER
             2 LOAD_CONST 0
       send: 2 SEND @end
             2 YIELD_VALUE
             2 RESUME 2
             {filler}
             2 JUMP_BACKWARD_NO_INTERRUPT 255
        end: 2 RETURN_VALUE"
        );
        let code = Listing::new(3, &text);
        let analysis = Analysis::new(&code.bytes()).unwrap();
        assert_eq!(analysis.assemble(&ALL).err(), Some(RewriteError::Send(UnitIndex(4))));
        assert!(analysis.assemble(&Plan { wanted: &|_| false, ..ALL }).is_ok());
    }
}
