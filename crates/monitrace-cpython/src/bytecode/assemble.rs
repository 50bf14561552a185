//! Writes a copy of a code object with hooks. It owns labels, argument sizes and the order in which
//! things stand; it must never decide where an event happens.

use super::exception_table::{self, Entry};
use super::instruction::{NONE, encode, extensions};
use super::line_table::{Position, Writer};
use super::opcodes::{
    CALL, DELETE_GLOBAL, JUMP_BACKWARD_NO_INTERRUPT, JUMP_FORWARD, Jump, LOAD_CONST, LOAD_FAST, NOP,
    POP_JUMP_FORWARD_IF_TRUE, POP_TOP, PRECALL, PUSH_EXC_INFO, RERAISE, SEND, SWAP, UNARY_INVERT,
    YIELD_VALUE, facts,
};
use super::places::{Analysis, Side};
use super::units::{Block, Moved, Next, START, UnitMap};
use super::{Place, RewriteError};
use monitrace_core::{ByteOffset, UnitIndex};
use rustc_hash::FxHashMap;
use std::ops::Range;

/// The exception table cannot hold larger positions.
const MOST_UNITS: u32 = (1 << 30) - 1;

/// The number of the ways out of a frame, in front of those of handlers.
const OUT: u32 = 0;

/// What a copy is to contain.
pub struct Plan<'a> {
    /// Whether to hook the place with this index in [`Analysis::places`].
    pub wanted: &'a dyn Fn(usize) -> bool,
    /// Whether what is raised is to pass a gate.
    pub gates: bool,
    /// The stack size, in slots, of frames that run already: hooks and gates that would not fit are tight.
    /// `None` is no limit.
    pub stack_limit: Option<u32>,
    /// Where a running frame enters the copy.
    pub landing: Option<Landing>,
}

/// Where a running frame enters a copy, in units of the original.
///
/// At the landing the frame has a null and a function pushed (two slots more than at its place). Calling that
/// function makes the interpreter load the copy's constants; its result is dropped. A frame without room for
/// both is for its owner to see to: what lies on top of its stack can be kept elsewhere meanwhile.
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
    /// The same, and the hooks on the way between the two are still to run.
    Between {
        /// What is next.
        unit: UnitIndex,
        /// What ran last.
        from: UnitIndex,
    },
    /// The same, and the way is that of an exception, which has just been put on the stack.
    Handler {
        /// What is next.
        unit: UnitIndex,
        /// What raised it.
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
    /// The argument of the `JUMP_FORWARD` that, written over the first unit, leads behind the hook. The unit that
    /// far from the first is the one that asks the constant.
    pub skip: u8,
    /// Whether it needs no room on the stack. Its constant is a name too: see [`Rewritten::added_names`].
    pub is_tight: bool,
}

/// A block that exceptions pass on their way to one handler, or out of the frame. All gates of a copy share
/// one constant, that with the index `const_count + hooks.len()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// Its hook's first unit in the copy.
    pub unit: UnitIndex,
    /// From there to the unit that asks for the constant's truth.
    pub skip: u8,
    /// How many slots of the stack are in use there. The topmost is the exception. Below it lies the position, in
    /// units of the copy, at which it was raised, unless the gate is tight.
    pub depth: u32,
    /// Where that is, if what passes here comes from one place only.
    pub origin: Option<Origin>,
    /// Whether it needs no room on the stack but for the exception.
    pub is_tight: bool,
    /// The instruction that raises again what passes here; `None` if it is raised.
    pub reraised_by: Option<ByteOffset>,
    /// Whether that it is raised was told of by the gate before.
    pub is_told: bool,
    /// Whether it leads out of the frame.
    pub leaves: bool,
}

/// The one place that an exception comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The instruction, as a unit of the original: that of its opcode.
    pub unit: UnitIndex,
    /// Whether a hook there has raised it.
    pub is_hook: bool,
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
    /// The landing's last instruction, which leads on, when the function has returned what is the frame's own.
    pub landing_past: Option<UnitIndex>,
    /// How many slots a frame has in use when it enters there, the two that are pushed included.
    pub landing_depth: Option<u32>,
    /// Where everything went.
    pub units: UnitMap,
}

impl Rewritten {
    /// How many constants the copy has behind those of the original: its hooks, then one for all gates.
    pub fn added_consts(&self) -> u32 {
        self.hooks.len() as u32 + u32::from(!self.gates.is_empty())
    }

    /// How many names the copy has behind those of the original: its tight hooks, then one for all tight gates.
    pub fn added_names(&self) -> u32 {
        let hooks = self.hooks.iter().filter(|hook| hook.is_tight).count();
        hooks as u32 + u32::from(self.has_tight_gates())
    }

    /// Whether any gate is tight.
    pub fn has_tight_gates(&self) -> bool {
        self.gates.iter().any(|gate| gate.is_tight)
    }

    /// Whether what is raised at this unit of the copy passes a gate.
    pub fn has_gate_for(&self, unit: u32) -> bool {
        let entries = exception_table::decode(&self.exception_table).unwrap_or_default();
        let entry = entries.iter().find(|entry| (entry.start..entry.end).contains(&unit));
        entry.is_some_and(|entry| self.gates.iter().any(|gate| gate.unit.0 == entry.target))
    }

    /// The gate whose hook asks for the constant's truth in this unit of the copy.
    pub fn gate_at(&self, unit: u32) -> Option<&Gate> {
        let asks = |gate: &Gate| gate.unit.0 + u32::from(gate.skip);
        self.gates.binary_search_by_key(&unit, asks).ok().map(|index| &self.gates[index])
    }

    /// See [`UnitMap::original_unit`].
    pub fn original_unit(&self, copy: UnitIndex) -> UnitIndex {
        self.units.original_unit(copy)
    }

    /// See [`UnitMap::next`].
    pub fn next(&self, copy: UnitIndex) -> Next {
        self.units.next(copy)
    }

    /// See [`UnitMap::is_added`].
    pub fn is_added(&self, copy: UnitIndex) -> bool {
        self.units.is_added(copy)
    }

    /// See [`UnitMap::copy_unit`].
    pub fn copy_unit(&self, original: UnitIndex) -> Option<UnitIndex> {
        self.units.copy_unit(original)
    }

    /// See [`UnitMap::resume_after`].
    pub fn resume_after(&self, original: UnitIndex) -> Option<UnitIndex> {
        self.units.resume_after(original)
    }

    /// See [`UnitMap::enter_from_elsewhere`].
    pub fn enter_from_elsewhere(&self, original: UnitIndex) -> Option<UnitIndex> {
        self.units.enter_from_elsewhere(original)
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
    /// A hook that leaves the value on top of the stack in the hands of its constant while it runs.
    is_tight: bool,
    /// It raises nothing but what it was given.
    is_gate: bool,
    is_landing: bool,
    /// The instruction whose position it has, or [`NONE`].
    position: u32,
    arg: u32,
    /// Where it jumps, if `jump` is not [`Jump::No`]. A `NOP` only says how far that would be.
    label: Label,
    /// The instruction that it belongs to.
    owner: u32,
    guard: u32,
    /// How many slots of the stack are as they were if it raises.
    untouched: u32,
}

impl Item {
    /// A `NOP` that belongs to an instruction, before which so many slots of the stack are in use.
    fn nop(owner: u32, guard: u32, untouched: u32) -> Item {
        Item {
            opcode: NOP,
            extended: 0,
            tail: 0,
            jump: Jump::No,
            is_hook: false,
            is_tight: false,
            is_gate: false,
            is_landing: false,
            position: owner,
            arg: 0,
            label: Label::Nowhere,
            owner,
            guard,
            untouched,
        }
    }

    fn units(&self) -> u32 {
        u32::from(self.extended) + 1 + u32::from(self.tail)
    }

    /// Whether what another one raises takes the same way, as far as can be seen without asking.
    fn raises_like(&self, other: &Item) -> bool {
        let key = |item: &Item| (item.owner, item.guard, item.untouched, item.opcode, item.is_hook);
        !self.is_gate && !other.is_gate && !self.is_landing && !other.is_landing && key(self) == key(other)
    }
}

/// Where a jump leads: to which part of an instruction's items, or to a block in front of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Label {
    Enter(u32),
    Past(u32),
    Own(u32),
    Behind(u32),
    /// What a jump of this instruction passes on its way.
    Edge(u32),
    /// What an exception passes on its way to this handler, if it comes from another line.
    Handled(u32),
    /// The same from its own line.
    HandledPast(u32),
    /// To the unit behind itself.
    Nowhere,
}

/// The items of one instruction, as indices.
#[derive(Debug, Clone, Copy, Default)]
struct Parts {
    first: u32,
    enter: u32,
    past: u32,
    own: u32,
}

/// The way of an exception, from where it is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Way {
    exit: Exit,
    /// How many slots of the stack are kept until it has been told of.
    kept: u32,
    /// The instruction that raises it again, or [`NONE`].
    reraised_by: u32,
    /// Whether only its leaving is to be told of: the rest was, while loops went on below.
    is_told: bool,
    /// Where it begins, if its gate is tight and can be told no other way.
    origin: Option<Origin>,
}

impl Way {
    /// Where the gate of this way leads to another gate: out of the frame, when the stack has been dropped.
    fn then(self) -> Option<Way> {
        (self.exit == Exit::Out && self.kept > 0).then_some(Way { kept: 0, is_told: true, ..self })
    }
}

/// Where an exception goes. What comes from a handler's own line enters it elsewhere than the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Exit {
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
    way: Way,
}

/// Items that stand for something else than what their instruction does.
struct BlockItems {
    items: Range<usize>,
    stands_for: u32,
    next: Next,
}

/// The items of a landing.
struct Pad {
    first: u32,
    last: u32,
    /// The depth of the stack where it begins.
    depth: u32,
}

/// The hooks of one instruction that are wanted, by side: indices of places.
#[derive(Default)]
struct Wanted {
    handler: Option<usize>,
    line: Option<usize>,
    before: Vec<usize>,
    behind: Vec<usize>,
}

/// The hooks that are wanted where an instruction jumps.
struct Edge {
    target: u32,
    from: u32,
    places: Range<usize>,
}

struct Assembler<'a> {
    analysis: &'a Analysis,
    items: Vec<Item>,
    parts: Vec<Parts>,
    /// The place and the item of each hook.
    hooks: Vec<(usize, u32)>,
    gates: Vec<GateItems>,
    /// The index of each way's gate.
    gate_of: FxHashMap<Way, usize>,
    /// The first item of the blocks in front of handlers, by the label that they lead to.
    handled: FxHashMap<Label, u32>,
    /// The first item of the block that each jump with an [`Label::Edge`] leads to.
    edge_of: FxHashMap<u32, u32>,
    /// The instructions whose jumps pass a block.
    has_edge: Vec<bool>,
    blocks: Vec<BlockItems>,
    /// The hooks before each `SEND`, which stand once more before the jump back to it.
    before_send: FxHashMap<u32, Vec<usize>>,
    stack_size: u32,
    /// See [`Plan::stack_limit`].
    limit: Option<u32>,
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
            hooks: Vec::with_capacity(self.instructions.len()),
            gates: Vec::new(),
            gate_of: FxHashMap::default(),
            handled: FxHashMap::default(),
            edge_of: FxHashMap::default(),
            has_edge: Vec::new(),
            blocks: Vec::with_capacity(self.instructions.len()),
            before_send: FxHashMap::default(),
            stack_size: self.stack_size,
            limit: plan.stack_limit,
        };
        assembler.add_instructions(plan)?;
        assembler.number_constants()?;
        let landing = plan.landing.map(|landing| assembler.add_landing(landing)).transpose()?;
        assembler.finish(landing)
    }
}

impl Assembler<'_> {
    fn add_instructions(&mut self, plan: &Plan<'_>) -> Result<(), RewriteError> {
        let analysis = self.analysis;
        let is_wanted = |place: usize| {
            plan.stack_limit.is_none_or(|limit| analysis.has_room(place, limit)) && (plan.wanted)(place)
        };
        let (edge_places, edges) = self.wanted_edges(&is_wanted);
        let mut edges = edges.iter().peekable();
        let mut wanted = Wanted::default();
        let mut next_place = 0;
        // Without a RESUME no part of the code is the program's.
        let has_gates = plan.gates && analysis.first < analysis.instructions.len();
        let ways = if has_gates { self.ways(&is_wanted) } else { Vec::new() };
        let (out, ways) = ways.split_at(ways.partition_point(|&(handler, _)| handler == OUT));
        let mut ways = ways.iter().peekable();
        for k in 0..analysis.instructions.len() {
            (wanted.handler, wanted.line) = (None, None);
            wanted.before.clear();
            wanted.behind.clear();
            while analysis.instruction_of.get(next_place) == Some(&(k as u32)) {
                match analysis.places[next_place].side {
                    Side::Taken | Side::Raising => {}
                    _ if !is_wanted(next_place) => {}
                    Side::Handler => wanted.handler = Some(next_place),
                    Side::BeforeFromOtherLine => wanted.line = Some(next_place),
                    Side::Before => wanted.before.push(next_place),
                    Side::Behind => wanted.behind.push(next_place),
                }
                next_place += 1;
            }
            let mut parts = Parts { first: self.items.len() as u32, ..Parts::default() };
            let leads_here = |&&(handler, _): &&(u32, Way)| handler as usize == k + 1;
            let has_blocks = ways.peek().is_some_and(leads_here)
                || edges.peek().is_some_and(|edge| edge.target as usize == k);
            self.add_way_by(k, &wanted, has_blocks);
            if has_blocks {
                let mut labels = Vec::new();
                while let Some(&(_, way)) = ways.next_if(leads_here) {
                    self.add_gate(way, k as u32);
                    if let Exit::Into { label, .. } = way.exit
                        && !labels.contains(&label)
                    {
                        labels.push(label);
                    }
                }
                if let Some(place) = wanted.handler {
                    for &label in &labels {
                        self.add_handled(k, place, label);
                    }
                }
                while let Some(edge) = edges.next_if(|edge| edge.target as usize == k) {
                    self.add_edge(edge, &edge_places);
                }
                if let Some(jump) = self.thrown_before(k) {
                    self.add_thrown(jump);
                }
            }
            parts.enter = self.items.len() as u32;
            self.add_instruction(k, &wanted, parts)?;
        }
        for &(_, way) in out {
            self.add_gate(way, analysis.first as u32);
        }
        Ok(())
    }

    /// The places on edges that are wanted, and the edges, in the order of their targets.
    fn wanted_edges(&mut self, is_wanted: &dyn Fn(usize) -> bool) -> (Vec<usize>, Vec<Edge>) {
        let analysis = self.analysis;
        let mut places = Vec::new();
        let mut edges: Vec<Edge> = Vec::new();
        for (place, &from) in analysis.instruction_of.iter().enumerate() {
            if analysis.places[place].side != Side::Taken || !is_wanted(place) {
                continue;
            }
            places.push(place);
            match edges.last_mut() {
                Some(edge) if edge.from == from => edge.places.end = places.len(),
                _ => edges.push(Edge {
                    target: analysis.instructions[from as usize].target,
                    from,
                    places: places.len() - 1..places.len(),
                }),
            }
        }
        if !edges.is_empty() {
            self.has_edge = vec![false; analysis.instructions.len()];
            for edge in &edges {
                self.has_edge[edge.from as usize] = true;
            }
        }
        edges.sort_by_key(|edge| edge.target);
        (places, edges)
    }

    /// A `NOP` that belongs to instruction `k`, and goes where that goes when it raises.
    fn plain(&self, k: usize) -> Item {
        let analysis = self.analysis;
        let untouched = if analysis.is_reached(k) { analysis.depth(k) } else { 0 };
        Item::nop(k as u32, analysis.guarded_by[k], untouched)
    }

    /// Lets what goes on from the instruction in front pass by what stands between the two.
    fn add_way_by(&mut self, k: usize, wanted: &Wanted, has_blocks: bool) {
        let analysis = self.analysis;
        let Some(previous) = k.checked_sub(1).filter(|&p| analysis.instructions[p].row.goes_on()) else {
            return;
        };
        let plain = self.plain(k);
        let into_line_hook = wanted.line.is_some() && analysis.changes_line(previous, k);
        if (wanted.line.is_some() && !into_line_hook) || has_blocks {
            let label = if into_line_hook { Label::Enter(k as u32) } else { Label::Past(k as u32) };
            self.items.push(Item { opcode: JUMP_FORWARD, jump: Jump::Forward, label, ..plain });
        } else if (into_line_hook || !wanted.before.is_empty()) && analysis.opcode(previous) == LOAD_FAST {
            self.items.push(plain);
        }
    }

    /// Adds one instruction with the hooks before it and behind it.
    fn add_instruction(&mut self, k: usize, wanted: &Wanted, mut parts: Parts) -> Result<(), RewriteError> {
        let analysis = self.analysis;
        let instruction = &analysis.instructions[k];
        let owner = k as u32;
        let plain = self.plain(k);
        let here = Next::Instruction(UnitIndex(instruction.start));
        let previous = k.checked_sub(1);

        if let Some(place) = wanted.line {
            self.add_hook(place, Item { guard: self.guard_before(k), ..plain }, here);
        }
        if let Some(jump) = self.thrown_before(k).filter(|_| wanted.line.is_some()) {
            // Nothing runs the unit behind the hook: it has the line of the `yield from`.
            let index = self.items.len();
            self.items.push(Item {
                opcode: JUMP_FORWARD,
                jump: Jump::Forward,
                label: Label::Past(owner),
                ..plain
            });
            let stands_for = instruction.opcode_unit();
            self.blocks.push(BlockItems { items: index..index + 1, stands_for, next: Next::Elsewhere });
            self.add_thrown(jump);
        }
        parts.past = self.items.len() as u32;
        for (index, &place) in wanted.before.iter().enumerate() {
            let position = self.position_of(place, owner);
            let next = if index == 0 { here } else { Next::Elsewhere };
            self.add_hook(place, Item { position, ..plain }, next);
        }
        if instruction.opcode() == SEND && !wanted.before.is_empty() {
            self.before_send.insert(owner, wanted.before.clone());
        }
        if instruction.opcode() == JUMP_BACKWARD_NO_INTERRUPT {
            // A trace function takes a jump backward for a new line unless it leads to the SEND itself.
            for place in self.before_send.get(&instruction.target).cloned().unwrap_or_default() {
                let position = self.position_of(place, owner);
                self.add_hook(place, Item { position, ..plain }, Next::Elsewhere);
            }
        }
        let send = previous.filter(|&p| analysis.opcode(p) == SEND && instruction.opcode() == YIELD_VALUE);
        if let Some(send) = send.filter(|_| !wanted.before.is_empty()) {
            // gen.throw takes the argument of the unit in front of YIELD_VALUE for that of SEND.
            self.items.push(Item { jump: Jump::Forward, label: self.label_of_jump(send), ..plain });
        }
        parts.own = self.items.len() as u32;
        self.items.push(Item {
            opcode: instruction.opcode(),
            extended: instruction.extended,
            tail: instruction.row.caches,
            jump: instruction.row.jump,
            arg: instruction.arg,
            label: self.label_of_jump(k),
            untouched: analysis.untouched(k),
            ..plain
        });
        for (index, &place) in wanted.behind.iter().enumerate() {
            // With a position behind RESUME, a trace function would see a line that is not there.
            let position = if analysis.is_start(k) { NONE } else { self.position_of(place, owner) };
            let next = if index == 0 { Next::Behind(UnitIndex(instruction.start)) } else { Next::Elsewhere };
            self.add_hook(place, Item { position, ..plain }, next);
        }
        self.parts.push(parts);
        Ok(())
    }

    /// The position of a hook: that of the instruction that its event happens to.
    fn position_of(&self, place: usize, owner: u32) -> u32 {
        let (unit, own) =
            (self.analysis.places[place].offset.0 / 2, &self.analysis.instructions[owner as usize]);
        if (own.start..own.end()).contains(&unit) {
            return owner;
        }
        let to = self.analysis.containing(UnitIndex(unit));
        to.map_or(owner, |to| to as u32)
    }

    /// Where the jump of an instruction leads in the copy.
    fn label_of_jump(&self, k: usize) -> Label {
        match self.analysis.instructions[k].target {
            NONE => Label::Nowhere,
            _ if self.has_edge.get(k) == Some(&true) => Label::Edge(k as u32),
            target if self.is_answered_by(k, target) => Label::Own(target),
            target => self.label_of_target(k, target),
        }
    }

    /// Whether a jump leads back to a `SEND` whose hooks it has passed.
    fn is_answered_by(&self, k: usize, target: u32) -> bool {
        self.analysis.opcode(k) == JUMP_BACKWARD_NO_INTERRUPT && self.before_send.contains_key(&target)
    }

    /// Where an instruction is entered when another jumps to it.
    fn label_of_target(&self, from: usize, target: u32) -> Label {
        let changes = self.analysis.changes_line(from, target as usize);
        if changes { Label::Enter(target) } else { Label::Past(target) }
    }

    /// Adds a hook. `next` is what a frame runs next that is about to enter it.
    fn add_hook(&mut self, place: usize, plain: Item, next: Next) {
        let Place { depth, offset, .. } = self.analysis.places[place];
        let is_tight = self.limit.is_some_and(|limit| depth >= limit);
        let stands_for = offset.0 / 2;
        let index = self.items.len();
        self.hooks.push((place, index as u32));
        let item = self.hook_item(depth, is_tight, plain);
        self.items.push(item);
        self.blocks.push(BlockItems { items: index..index + 1, stands_for, next });
    }

    /// A hook with so many slots of the stack in use before it. Which constant it is, is known when there are all.
    fn hook_item(&mut self, depth: u32, is_tight: bool, plain: Item) -> Item {
        let opcode = if is_tight { DELETE_GLOBAL } else { LOAD_CONST };
        let untouched = depth - u32::from(is_tight);
        self.stack_size = self.stack_size.max(untouched + 1);
        Item { opcode, tail: 1, is_hook: true, is_tight, untouched, ..plain }
    }

    /// Where an exception enters the handler of one of the original's guards.
    fn handler_label(&self, owner: u32, guard: u32) -> Option<Label> {
        let handler = self.analysis.guards.get(guard as usize)?.handler;
        let changes = self.analysis.changes_line_by_raising(owner as usize, handler as usize);
        Some(if changes { Label::Enter(handler) } else { Label::Past(handler) })
    }

    /// The way that what instruction `owner` raises under a guard takes.
    fn way(&self, owner: u32, guard: u32, untouched: u32, is_own: bool, origin: Option<Origin>) -> Way {
        let analysis = self.analysis;
        let reraises = is_own && analysis.reraises(owner as usize);
        let reraised_by = if reraises { owner } else { NONE };
        let (exit, for_handler) =
            match (analysis.guards.get(guard as usize), self.handler_label(owner, guard)) {
                (Some(guard), Some(label)) => (Exit::Into { guard: guard.alike, label }, guard.depth),
                _ => (Exit::Out, 0),
            };
        let kept = analysis.kept(owner as usize, untouched, for_handler);
        let origin = origin.filter(|_| self.is_tight(kept));
        Way { exit, kept, reraised_by, is_told: false, origin }
    }

    /// Whether a gate above so many slots of the stack has to be tight: another one takes three more.
    fn is_tight(&self, kept: u32) -> bool {
        self.limit.is_some_and(|limit| kept + 3 > limit)
    }

    /// The gate of what an item raises, if it has one. `last` is for the gate of the item before, which is often the same.
    fn gate(&self, index: usize, item: &Item, last: &mut Option<(Way, Option<usize>)>) -> Option<&GateItems> {
        if self.gate_of.is_empty() || item.is_landing || !self.analysis.is_gated(item.owner as usize) {
            return None;
        }
        if item.is_gate {
            let gate = self.gates.partition_point(|gate| gate.items.end <= index);
            let next = self.gates.get(gate)?.way.then()?;
            return self.gate_of.get(&next).map(|&index| &self.gates[index]);
        }
        let is_own = !item.is_hook && item.opcode == self.analysis.opcode(item.owner as usize);
        let origin = self.origin(index, item);
        let way = self.way(item.owner, item.guard, item.untouched, is_own, origin);
        let gate = match *last {
            Some((before, gate)) if before == way => gate,
            _ => self.gate_of.get(&way).copied(),
        };
        *last = Some((way, gate));
        gate.map(|gate| &self.gates[gate])
    }

    /// Where what an item raises comes from, if its gate may be tight.
    fn origin(&self, index: usize, item: &Item) -> Option<Origin> {
        self.limit?;
        let unit = match self.hooks.binary_search_by_key(&(index as u32), |&(_, item)| item) {
            Ok(hook) => self.analysis.places[self.hooks[hook].0].offset.0 / 2,
            Err(_) => self.analysis.instructions[item.owner as usize].opcode_unit(),
        };
        Some(Origin { unit: UnitIndex(unit), is_hook: item.is_hook })
    }

    /// All ways that something can take, each with the number of its handler's instruction and one; those
    /// out of the frame first, with [`OUT`].
    fn ways(&self, is_wanted: &dyn Fn(usize) -> bool) -> Vec<(u32, Way)> {
        let analysis = self.analysis;
        let mut ways = Vec::with_capacity(16);
        let mut last = None;
        let mut add = |way: Way| {
            if last.replace(way) == Some(way) {
                return;
            }
            let handler = match way.exit {
                Exit::Into { guard, .. } => analysis.guards[guard as usize].handler + 1,
                Exit::Out => OUT,
            };
            ways.push((handler, way));
        };
        for k in 0..analysis.instructions.len() {
            if !analysis.is_reached(k) || !analysis.is_gated(k) {
                continue;
            }
            let (owner, guard, depth) = (k as u32, analysis.guarded_by[k], analysis.depth(k));
            let unit = UnitIndex(analysis.instructions[k].opcode_unit());
            let origin = self.limit.map(|_| Origin { unit, is_hook: false });
            add(self.way(owner, guard, analysis.untouched(k), true, origin));
            // What hooks raise, before and behind.
            add(self.way(owner, guard, depth, false, origin));
            if self.guard_before(k) != guard {
                add(self.way(owner, self.guard_before(k), depth, false, origin));
            }
            for depth in analysis.depths_behind(k) {
                add(self.way(owner, guard, depth, false, origin));
            }
        }
        if self.limit.is_some() {
            for place in (0..analysis.places.len()).filter(|&place| is_wanted(place)) {
                self.add_ways_from(place, &mut add);
            }
        }
        let told: Vec<_> = ways.iter().filter_map(|&(handler, way)| Some((handler, way.then()?))).collect();
        ways.extend(told);
        ways.sort_unstable();
        ways.dedup();
        ways
    }

    /// Adds the ways that what the hook at a place raises can take, if it or its gate may be tight.
    fn add_ways_from(&self, place: usize, add: &mut impl FnMut(Way)) {
        let analysis = self.analysis;
        let (owner, Place { depth, offset, .. }) = (analysis.instruction_of[place], analysis.places[place]);
        let k = owner as usize;
        if !analysis.is_reached(k) || !analysis.is_gated(k) {
            return;
        }
        let origin = Some(Origin { unit: UnitIndex(offset.0 / 2), is_hook: true });
        for guard in [analysis.guarded_by[k], self.guard_before(k)] {
            for untouched in [depth, depth.saturating_sub(1)] {
                add(self.way(owner, guard, untouched, false, origin));
            }
        }
    }

    /// Adds a gate, unless there is no room for it.
    fn add_gate(&mut self, way: Way, owner: u32) {
        let is_tight = self.is_tight(way.kept);
        let depth = way.kept + if is_tight { 1 } else { 2 };
        if self.limit.is_some_and(|limit| depth > limit) {
            return;
        }
        let (label, guard) = match way.exit {
            Exit::Into { guard, label } => (label, guard),
            Exit::Out => (Label::Nowhere, NONE),
        };
        // For the handler, what a tight gate raises again comes from the gate, which keeps no other position.
        let raised_by =
            way.origin.and_then(|origin| Some((origin.unit.0, self.analysis.containing(origin.unit)?)));
        let (stands_for, position) = match raised_by {
            Some((unit, k)) => (unit, k as u32),
            None => (self.analysis.instructions[owner as usize].start, owner),
        };
        // What comes from the handler's own line comes from there for a trace function too.
        let position = if matches!(label, Label::Past(_)) { position } else { NONE };
        let plain = Item { is_gate: true, position, label, ..Item::nop(owner, guard, 0) };
        let start = self.items.len();
        let hook = self.hook_item(depth, is_tight, plain);
        self.items.push(hook);
        match self.leads_into(&way) {
            // What raising again would do, for what lies on the stack is the same.
            Some((label, has_position)) if !is_tight => {
                if !has_position {
                    self.items.push(Item { opcode: SWAP, arg: 2, ..plain });
                    self.items.push(Item { opcode: POP_TOP, ..plain });
                }
                self.items.push(Item { opcode: JUMP_FORWARD, jump: Jump::Forward, label, ..plain });
            }
            _ => self.items.push(Item { opcode: RERAISE, arg: u32::from(!is_tight), ..plain }),
        }
        let items = start..self.items.len();
        self.blocks.push(BlockItems { items: items.clone(), stands_for, next: Next::Elsewhere });
        self.gate_of.insert(way, self.gates.len());
        self.gates.push(GateItems { items, depth, way });
    }

    /// Where a gate can lead on without raising again, and whether the handler keeps the position at which its exception
    /// was raised. What was raised again by an instruction comes from a line that only raising again restores.
    fn leads_into(&self, way: &Way) -> Option<(Label, bool)> {
        let Exit::Into { guard, label } = way.exit else { return None };
        let guard = &self.analysis.guards[guard as usize];
        let label = match label {
            Label::Enter(handler) => Label::Handled(handler),
            Label::Past(handler) => Label::HandledPast(handler),
            _ => return None,
        };
        (way.kept == guard.depth && way.reraised_by == NONE).then_some((label, guard.lasti))
    }

    /// Adds the hook that what is handled at instruction `k` passes before it goes on at the label.
    fn add_handled(&mut self, k: usize, place: usize, label: Label) {
        let first = self.items.len();
        let plain = Item { label, guard: self.guard_before(k), ..self.plain(k) };
        self.add_hook(place, Item { label: Label::Nowhere, ..plain }, Next::Elsewhere);
        self.items.push(Item { opcode: JUMP_FORWARD, jump: Jump::Forward, ..plain });
        self.handled.insert(label, first as u32);
    }

    /// Adds the hooks that a jump passes on its way to the instruction that comes next.
    fn add_edge(&mut self, edge: &Edge, places: &[usize]) {
        let analysis = self.analysis;
        let from = edge.from as usize;
        if analysis.opcode(from) == SEND && edge.target > 0 {
            self.add_thrown(edge.target as usize - 1);
        }
        self.edge_of.insert(edge.from, self.items.len() as u32);
        // A trace function takes a jump backward for a new line, and would take the block for another.
        let position = if edge.target > edge.from { edge.from } else { NONE };
        let plain = Item { position, ..self.plain(from) };
        let start = |k: u32| UnitIndex(analysis.instructions[k as usize].start);
        let mut next = Next::Way { from: start(edge.from), to: start(edge.target) };
        for &place in &places[edge.places.clone()] {
            self.add_hook(place, plain, std::mem::replace(&mut next, Next::Elsewhere));
        }
        let label = self.label_of_target(from, edge.target);
        let jump = self.items.len();
        let untouched = analysis.depth(edge.target as usize);
        self.items.push(Item { opcode: JUMP_FORWARD, jump: Jump::Forward, label, untouched, ..plain });
        let next = Next::Instruction(start(edge.target));
        let stands_for = analysis.instructions[from].opcode_unit();
        self.blocks.push(BlockItems { items: jump..jump + 1, stands_for, next });
    }

    /// The instruction in front of `k`, if a `yield from` leads from there to `k` and needs such a unit between them.
    fn thrown_before(&self, k: usize) -> Option<usize> {
        k.checked_sub(1).filter(|&p| self.analysis.opcode(p) == JUMP_BACKWARD_NO_INTERRUPT)
    }

    /// Adds the unit at which `gen.throw` raises what the iterator of a `yield from` has raised: the one in
    /// front of where `SEND` leads, which is that of `jump` if nothing stands there.
    fn add_thrown(&mut self, jump: usize) {
        let index = self.items.len();
        self.items.push(Item { untouched: self.analysis.untouched(jump), ..self.plain(jump) });
        let stands_for = self.analysis.instructions[jump].opcode_unit();
        self.blocks.push(BlockItems { items: index..index + 1, stands_for, next: Next::Elsewhere });
    }

    /// Gives the hooks their constants, and the gates the one behind those; the tight ones their names in the same
    /// way.
    fn number_constants(&mut self) -> Result<(), RewriteError> {
        let Analysis { const_count, name_count, .. } = *self.analysis;
        let mut tight = 0;
        let gates = self.gates.iter().map(|gate| (self.hooks.len(), gate.items.start));
        let hooks = self.hooks.iter().enumerate().map(|(nth, &(_, item))| (nth, item as usize));
        for (nth, item) in hooks.chain(gates) {
            let item = &mut self.items[item];
            let arg = match item.is_tight {
                true => name_count.checked_add(tight),
                false => u32::try_from(nth).ok().and_then(|nth| const_count.checked_add(nth)),
            };
            item.arg = arg.ok_or(RewriteError::Length)?;
            item.extended = extensions(item.arg);
            tight += u32::from(item.is_tight && !item.is_gate);
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

    fn add_landing(&mut self, landing: Landing) -> Result<Pad, RewriteError> {
        let analysis = self.analysis;
        let unit = match landing {
            Landing::After(unit) | Landing::Own(unit) => unit,
            Landing::At { unit, .. } | Landing::Between { unit, .. } | Landing::Handler { unit, .. } => unit,
        };
        let refused = RewriteError::Landing(unit);
        let containing = |unit| analysis.containing(unit).ok_or(refused);
        let k = containing(unit)?;
        let instruction = &analysis.instructions[k];
        let (label, depth) = match landing {
            Landing::After(_) if !instruction.row.goes_on() => return Err(refused),
            Landing::After(_) => (Label::Behind(k as u32), analysis.depth(k + 1)),
            Landing::At { from, .. } => {
                (self.label_of_target(containing(from)?, k as u32), analysis.depth(k))
            }
            Landing::Between { from, .. } => (self.label_between(containing(from)?, k), analysis.depth(k)),
            Landing::Handler { from, .. } if analysis.changes_line_by_raising(containing(from)?, k) => {
                (Label::Handled(k as u32), analysis.depth(k))
            }
            Landing::Handler { .. } => (Label::HandledPast(k as u32), analysis.depth(k)),
            Landing::Own(_) => (Label::Own(k as u32), analysis.depth(k)),
        };
        let room = self.limit.map_or(depth + 2, |limit| limit.min(depth + 2));
        self.stack_size = self.stack_size.max(room);
        let first = self.items.len() as u32;
        for opcode in [PRECALL, CALL, POP_TOP, JUMP_BACKWARD_NO_INTERRUPT] {
            let row = facts(opcode).ok_or(refused)?;
            let plain = self.plain(k);
            let (tail, jump) = (row.caches, row.jump);
            self.items.push(Item { opcode, tail, jump, label, is_landing: true, position: NONE, ..plain });
        }
        let stands_for = instruction.opcode_unit();
        let items = first as usize..self.items.len();
        self.blocks.push(BlockItems { items, stands_for, next: Next::Elsewhere });
        Ok(Pad { first, last: self.items.len() as u32 - 1, depth: depth + 2 })
    }

    /// Where the hooks on the way from one instruction to another begin.
    fn label_between(&self, from: usize, to: usize) -> Label {
        let instruction = &self.analysis.instructions[from];
        let goes_on = instruction.row.goes_on() && from + 1 == to;
        let jumps = instruction.target == to as u32;
        match (goes_on, jumps) {
            (true, false) => Label::Behind(from as u32),
            (false, true) => self.label_of_jump(from),
            // Which way it was is not known.
            _ => self.label_of_target(from, to as u32),
        }
    }

    /// The item that a label stands for; `None` for [`Label::Nowhere`].
    fn item(&self, label: Label) -> Option<usize> {
        let handled = |label| match self.handled.get(&label) {
            Some(&first) => Some(first as usize),
            None => self.item(label),
        };
        let item = match label {
            Label::Nowhere => return None,
            Label::Handled(k) => return handled(Label::Enter(k)),
            Label::HandledPast(k) => return handled(Label::Past(k)),
            Label::Edge(k) => self.edge_of[&k],
            Label::Enter(k) => self.parts[k as usize].enter,
            Label::Past(k) => self.parts[k as usize].past,
            Label::Own(k) => self.parts[k as usize].own,
            Label::Behind(k) => self.parts[k as usize].own + 1,
        };
        Some(item as usize)
    }

    /// Gives every jump its argument. Returns the first unit of each item, and the length.
    ///
    /// Sizes only grow, from those of the original, so this ends.
    fn place_items(&mut self) -> Result<Vec<u32>, RewriteError> {
        let mut starts = vec![0; self.items.len() + 1];
        let jumps: Vec<(usize, usize)> = (0..self.items.len())
            .filter(|&i| self.items[i].jump != Jump::No)
            .filter_map(|i| Some((i, self.item(self.items[i].label)?)))
            .collect();
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
            for &(i, to) in &jumps {
                let item = &self.items[i];
                let arg = starts[i + 1].abs_diff(starts[to]);
                let needed = extensions(arg);
                if needed > item.extended && item.opcode == SEND {
                    let owner = item.owner as usize;
                    if self
                        .analysis
                        .instructions
                        .get(owner + 1)
                        .is_some_and(|next| next.opcode() == YIELD_VALUE)
                    {
                        let start = self.analysis.instructions[owner].start;
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
                code.extend([if item.is_tight { UNARY_INVERT } else { POP_JUMP_FORWARD_IF_TRUE }, 0]);
            } else {
                code.resize(code.len() + 2 * usize::from(item.tail), 0);
            }
            let position = analysis.positions.get(item.position as usize).copied();
            lines.add(item.units(), position.unwrap_or(Position::NONE));
        }

        let hooks = self.hooks.iter().map(|&(place, item)| {
            let Item { is_tight, .. } = self.items[item as usize];
            let skip = (self.items[item as usize].units() - 1) as u8;
            Hook { place, unit: UnitIndex(starts[item as usize]), skip, is_tight }
        });
        let hooks = hooks.collect();
        let gates = self.gates.iter().map(|gate| {
            let reraised_by = analysis.instructions.get(gate.way.reraised_by as usize);
            Gate {
                unit: UnitIndex(starts[gate.items.start]),
                skip: (self.items[gate.items.start].units() - 1) as u8,
                depth: gate.depth,
                origin: gate.way.origin,
                is_tight: self.items[gate.items.start].is_tight,
                reraised_by: reraised_by.map(|by| ByteOffset::from(UnitIndex(by.opcode_unit()))),
                is_told: gate.way.is_told,
                leaves: gate.way.exit == Exit::Out && gate.way.then().is_none(),
            }
        });
        let blocks = self.blocks.iter().map(|block| Block {
            start: starts[block.items.start],
            end: starts[block.items.end],
            stands_for: block.stands_for,
            next: block.next,
        });
        let moved = self.parts.iter().enumerate().map(|(k, parts)| Moved {
            original: analysis.instructions[k].start,
            line: if analysis.is_start(k) { START } else { analysis.positions[k].line_or_none() },
            first: starts[parts.first as usize],
            enter: starts[parts.enter as usize],
            past: starts[parts.past as usize],
            own: starts[parts.own as usize],
            last: starts[parts.own as usize + 1] - 1,
        });
        let units = UnitMap {
            moved: moved.collect(),
            original_length: analysis.instructions.last().map_or(0, |last| last.end()),
            blocks: blocks.collect(),
        };
        Ok(Rewritten {
            exception_table: self.exception_table(&starts),
            line_table: lines.finish(),
            stack_size: self.stack_size,
            hooks,
            gates: gates.collect(),
            landing: landing.as_ref().map(|pad| UnitIndex(starts[pad.first as usize])),
            landing_past: landing.as_ref().map(|pad| UnitIndex(starts[pad.last as usize])),
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
        let (mut gate, mut last) = (None, None);
        for (i, item) in self.items.iter().enumerate() {
            let (mut start, end) = (starts[i], starts[i + 1]);
            // With tight gates, each hook has its own.
            let is_one_of_many = item.is_hook && self.limit.is_some();
            if i == 0 || is_one_of_many || !item.raises_like(&self.items[i - 1]) {
                gate = self.gate(i, item, &mut last);
            }
            if item.is_tight {
                // Its constant raises there what takes the place of the value on top, and gives that back here.
                if let Some((_, entry)) = run.take() {
                    exception_table::encode(&entry, &mut table);
                }
                let depth = item.untouched;
                exception_table::encode(
                    &Entry { start, end: end - 1, target: end - 1, depth, lasti: false },
                    &mut table,
                );
                start = end - 1;
            }
            let entry = match (gate, analysis.guards.get(item.guard as usize)) {
                (Some(gate), _) => {
                    let target = starts[gate.items.start];
                    let lasti = !self.items[gate.items.start].is_tight;
                    Some(Entry { start, end, target, depth: gate.depth - 1 - u32::from(lasti), lasti })
                }
                (None, Some(guard)) => {
                    // What is raised in a gate goes where the gate leads.
                    let into = self.handler_label(item.owner, item.guard);
                    let into = if item.is_gate { Some(item.label) } else { into };
                    let to = into.and_then(|label| {
                        self.handled.get(&label).map(|&first| first as usize).or_else(|| self.item(label))
                    });
                    to.map(|to| {
                        let target = starts[to];
                        Entry { start, end, target, depth: guard.depth, lasti: guard.lasti }
                    })
                }
                (None, None) => None,
            };
            match (&mut run, entry) {
                (Some((guard, run)), Some(entry))
                    if *guard == item.guard && run.target == entry.target && run.depth == entry.depth =>
                {
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
    use monitrace_core::{Event, EventSet};

    /// Hooks for the events that have one at the places of most tests.
    const ALL: Plan<'static> = Plan { wanted: &|_| true, gates: false, stack_limit: None, landing: None };

    /// Takes code apart, and leaves out the places that the test is not about.
    fn analysis_of(code: &Listing, events: EventSet) -> Analysis {
        let mut analysis = Analysis::new(&code.bytes()).unwrap();
        let kept: Vec<bool> =
            analysis.places.iter().map(|place| events.contains(place.event.set())).collect();
        let mut kept = kept.iter();
        analysis.instruction_of.retain({
            let mut kept = kept.clone();
            move |_| *kept.next().unwrap()
        });
        analysis.places.retain(|_| *kept.next().unwrap());
        analysis
    }

    const LINES: EventSet = EventSet::LINE.union(EventSet::PY_START).union(EventSet::PY_RETURN);

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
        let analysis = analysis_of(&code, LINES);
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
        let analysis = analysis_of(&code, LINES);
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
    fn a_hook_without_room_takes_the_place_of_the_value_on_top() {
        let code = Listing::new(1, "1 RESUME 0\n 2 LOAD_CONST 0\n 2 RETURN_VALUE");
        let analysis = analysis_of(&code, LINES);
        let copy = analysis.assemble(&Plan { stack_limit: Some(1), ..ALL }).unwrap();
        assert_eq!(copy.stack_size, 1);
        assert_listing(
            &copy,
            " 0 1 RESUME 0
              1 - LOAD_CONST 4
              2 - POP_JUMP_FORWARD_IF_TRUE to 3
              3 2 LOAD_CONST 5
              4 2 POP_JUMP_FORWARD_IF_TRUE to 5
              5 2 LOAD_CONST 0
              6 2 DELETE_GLOBAL 4
              7 2 UNARY_INVERT 0
              8 2 RETURN_VALUE 0",
        );
        assert_eq!(copy.hooks.iter().map(|hook| hook.is_tight).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!((copy.added_consts(), copy.added_names()), (3, 1));
        let entries = exception_table::decode(&copy.exception_table).unwrap();
        assert_eq!(entries, [Entry { start: 6, end: 7, target: 7, depth: 0, lasti: false }]);
    }

    #[test]
    fn a_hook_takes_no_place_of_a_null() {
        let code = Listing::new(
            2,
            "1 RESUME 0
             2 LOAD_CONST 0
             2 PUSH_NULL
             2 SWAP 2
             2 POP_TOP
             2 POP_TOP
             2 LOAD_CONST 0
             2 RETURN_VALUE",
        );
        let analysis = analysis_of(&code, EventSet::INSTRUCTION);
        let copy = analysis.assemble(&Plan { stack_limit: Some(2), ..ALL }).unwrap();
        let hooked: Vec<_> =
            copy.hooks.iter().map(|hook| analysis.places()[hook.place].offset.0 / 2).collect();
        assert_eq!(hooked, [1, 2, 4, 5, 6, 7]);
    }

    #[test]
    fn a_landing_leads_behind_or_before_its_instruction() {
        let code =
            Listing::new(3, "1 RESUME 0\n 2 LOAD_CONST 0\n 3 POP_TOP\n 3 LOAD_CONST 0\n 3 RETURN_VALUE");
        let analysis = analysis_of(&code, LINES);
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
        let tight = analysis.assemble(&plan).unwrap();
        assert_eq!((tight.stack_size, tight.landing_depth), (3, Some(3)));
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
        let analysis = analysis_of(&code, LINES);
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
        let analysis = analysis_of(&code, LINES);
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
             10 3 LOAD_CONST 4
             11 3 POP_JUMP_FORWARD_IF_TRUE to 12
             12 3 SWAP 2
             13 3 POP_TOP 0
             14 3 JUMP_FORWARD to 15
             15 3 PUSH_EXC_INFO 0
             16 3 RERAISE 0
             17 - LOAD_CONST 4
             18 - POP_JUMP_FORWARD_IF_TRUE to 19
             19 - RERAISE 1
             20 - LOAD_CONST 4
             21 - POP_JUMP_FORWARD_IF_TRUE to 22
             22 - RERAISE 1",
        );
        let entries = exception_table::decode(&copy.exception_table).unwrap();
        let ways: Vec<_> =
            entries.iter().map(|entry| (entry.start, entry.end, entry.target, entry.lasti)).collect();
        // Line 2 and line 3 have a gate each, and what is raised in one goes on to the handler itself. What is
        // raised again leaves by a gate of its own.
        let guarded = [(1, 3, 5, true), (3, 5, 10, true), (5, 15, 15, false)];
        let out = [(0, 1, 20, true), (15, 16, 20, true), (16, 17, 17, true)];
        assert_eq!(ways, [out[0], guarded[0], guarded[1], guarded[2], out[1], out[2]]);
        assert_eq!(copy.gates.iter().map(|gate| gate.depth).collect::<Vec<_>>(), [2; 4]);
        let reraised: Vec<_> = copy.gates.iter().map(|gate| gate.reraised_by.map(|at| at.0)).collect();
        assert_eq!(reraised, [None, None, Some(12), None]);
        let leaves: Vec<_> = copy.gates.iter().map(|gate| gate.leaves).collect();
        assert_eq!(leaves, [false, false, true, true]);
        assert_eq!(copy.gate_at(6), Some(&copy.gates[0]));
        let at = UnitIndex;
        assert_eq!((copy.next(at(13)), copy.next(at(21))), (Next::Elsewhere, Next::Elsewhere));
        assert_eq!(copy.next(at(15)), Next::Instruction(at(5)));
    }

    #[test]
    fn gates_without_room_are_of_one_instruction_each() {
        // try: (lines 2 and 3) ... except: (line 3), without room for more than the exception.
        let mut code = Listing::new(
            1,
            "1 RESUME 0
             2 LOAD_CONST 0
             3 RETURN_VALUE
             3 RERAISE 0",
        );
        code.exception_table = vec![0x80 | 1, 2, 3, 0];
        verify(&code.bytes()).unwrap();
        let analysis = analysis_of(&code, LINES);
        let plan = Plan { wanted: &|_| false, gates: true, stack_limit: Some(1), ..ALL };
        let copy = analysis.assemble(&plan).unwrap();
        assert_listing(
            &copy,
            " 0 1 RESUME 0
              1 2 LOAD_CONST 0
              2 3 RETURN_VALUE 0
              3 - DELETE_GLOBAL 4
              4 - UNARY_INVERT 0
              5 - RERAISE 0
              6 3 DELETE_GLOBAL 4
              7 3 UNARY_INVERT 0
              8 3 RERAISE 0
              9 3 RERAISE 0
             10 - DELETE_GLOBAL 4
             11 - UNARY_INVERT 0
             12 - RERAISE 0
             13 - DELETE_GLOBAL 4
             14 - UNARY_INVERT 0
             15 - RERAISE 0
             16 - DELETE_GLOBAL 4
             17 - UNARY_INVERT 0
             18 - RERAISE 0",
        );
        assert_eq!(copy.added_names(), 1);
        let origins: Vec<_> =
            copy.gates.iter().map(|gate| gate.origin.map(|origin| (origin.unit.0, origin.is_hook))).collect();
        assert_eq!(
            origins,
            [Some((1, false)), Some((2, false)), Some((3, false)), Some((0, false)), Some((3, false))]
        );
        let entries = exception_table::decode(&copy.exception_table).unwrap();
        let ways: Vec<_> = entries.iter().map(|entry| (entry.start, entry.end, entry.target)).collect();
        // Each to its gate, from the first half of that to the second, and from there to the handler.
        let into = [(0, 1, 13), (1, 2, 3), (2, 3, 6), (9, 10, 10)];
        let through = [(3, 4, 4), (6, 7, 7), (10, 11, 11), (13, 14, 14), (16, 17, 17)];
        let on = [(4, 6, 9), (7, 9, 9)];
        let mut expected = [&into[..], &through, &on].concat();
        expected.sort_unstable();
        assert_eq!(ways, expected);
        assert!(entries.iter().all(|entry| entry.depth == 0 && !entry.lasti));
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
        let analysis = analysis_of(&code, EventSet::CALL | EventSet::C_RETURN | EventSet::C_RAISE);
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
        let analysis = analysis_of(&code, LINES);
        assert_eq!(analysis.assemble(&ALL).err(), Some(RewriteError::Send(UnitIndex(4))));
        assert!(analysis.assemble(&Plan { wanted: &|_| false, ..ALL }).is_ok());
    }

    #[test]
    fn each_way_of_a_branch_has_its_hooks() {
        let code = Listing::new(
            2,
            "1 RESUME 0
             2 LOAD_CONST 0
       loop: 2 FOR_ITER @end
             2 POP_JUMP_BACKWARD_IF_TRUE @loop
             2 JUMP_BACKWARD @loop
        end: 2 LOAD_CONST 0
             2 RETURN_VALUE",
        );
        let branches = EventSet::BRANCH_LEFT | EventSet::BRANCH_RIGHT | EventSet::JUMP;
        let analysis = analysis_of(&code, branches);
        let places: Vec<_> = analysis
            .places()
            .iter()
            .map(|place| (place.event, place.offset.0, place.destination.map(|to| to.0), place.depth))
            .collect();
        assert_eq!(
            places,
            [
                (Event::BranchLeft, 4, Some(6), 2),
                (Event::BranchRight, 4, Some(10), 0),
                (Event::BranchRight, 6, Some(8), 1),
                (Event::BranchLeft, 6, Some(4), 1),
                (Event::Jump, 8, Some(4), 1),
            ]
        );
    }

    #[test]
    fn what_a_loop_iterates_is_kept_while_its_exception_is_told_of() {
        let code = Listing::new(
            3,
            "1 RESUME 0
             2 LOAD_CONST 0
       loop: 2 FOR_ITER @end
             3 LOAD_CONST 0
             3 STORE_ATTR 0
             2 JUMP_BACKWARD @loop
        end: 4 LOAD_CONST 0
             4 RETURN_VALUE",
        );
        let analysis = analysis_of(&code, EventSet::empty());
        let copy = analysis.assemble(&Plan { gates: true, ..ALL }).unwrap();
        verify(&bytes_of(&copy)).unwrap();
        // The iterator is dropped when the last gate raises again, and only then does it leave the frame.
        let gates: Vec<_> =
            copy.gates.iter().map(|gate| (gate.depth - 2, gate.is_told, gate.leaves)).collect();
        assert_eq!(gates, [(0, false, true), (0, true, true), (1, false, false)]);
    }

    #[test]
    fn what_is_thrown_into_a_yield_from_starts_a_line() {
        let code = Listing::new(
            2,
            "1 RESUME 0
             2 LOAD_CONST 0
             2 LOAD_CONST 0
       send: 2 SEND @end
             2 YIELD_VALUE
             2 RESUME 2
             2 JUMP_BACKWARD_NO_INTERRUPT @send
        end: 2 YIELD_VALUE
             2 RESUME 1
             2 RETURN_VALUE",
        );
        let analysis = analysis_of(&code, LINES);
        let lines: Vec<_> = analysis
            .places()
            .iter()
            .filter(|place| place.event == Event::Line)
            .map(|place| (place.side, place.offset.0, place.line))
            .collect();
        // Not what is thrown into the plain `yield`, which no handler guards.
        assert_eq!(lines, [(Side::BeforeFromOtherLine, 2, Some(2)), (Side::Raising, 8, Some(2))]);
    }

    #[test]
    fn throw_finds_the_jump_of_a_send_in_the_hook_behind_it() {
        let code = Listing::new(
            2,
            "1 RESUME 0
             2 LOAD_CONST 0
             2 LOAD_CONST 0
       send: 2 SEND @end
             2 YIELD_VALUE
             2 RESUME 2
             2 JUMP_BACKWARD_NO_INTERRUPT @send
        end: 2 RETURN_VALUE",
        );
        let yields = EventSet::PY_YIELD | EventSet::INSTRUCTION | EventSet::STOP_ITERATION;
        let copy = analysis_of(&code, yields).assemble(&Plan { gates: true, ..ALL }).unwrap();
        verify(&bytes_of(&copy)).unwrap();
        let opcodes: Vec<u8> = copy.code.iter().copied().step_by(2).collect();
        let at = opcodes.iter().position(|&opcode| opcode == YIELD_VALUE).unwrap();
        let send = opcodes.iter().position(|&opcode| opcode == SEND).unwrap();
        let target = send + 1 + usize::from(copy.code[2 * send + 1]);
        assert_eq!(opcodes[at - 1], NOP);
        assert_eq!(at + usize::from(copy.code[2 * at - 1]), target);
        // What is thrown in from there is raised in a unit that raises nothing by itself.
        assert!(matches!(opcodes[target - 1], NOP | JUMP_BACKWARD_NO_INTERRUPT));
    }
}
