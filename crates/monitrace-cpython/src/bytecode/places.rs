//! Where events can be hooked. It owns the rules for each event and must never write code.
//!
//! A place belongs to one instruction and stands on one [`Side`] of it. To add an event, add its rule to
//! `find_places`.

use super::depth::{Guard, Stacks, UNREACHED, stacks};
use super::instruction::{Instruction, NONE, decode};
use super::line_table::{Cursor, Position};
use super::opcodes::{
    CALL, CALL_FUNCTION_EX, END_ASYNC_FOR, FOR_ITER, GET_ANEXT, JUMP_BACKWARD, JUMP_FORWARD, KW_NAMES,
    PRECALL, PUSH_NULL, RAISE_VARARGS, RERAISE, RESUME, RETURN_GENERATOR, RETURN_VALUE, SEND, YIELD_VALUE,
};
use super::{CodeBytes, RewriteError, exception_table};
use monitrace_core::{ByteOffset, Event, UnitIndex};
use rustc_hash::FxHashMap;

/// A place in the original code where an event can be hooked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// What happens there.
    pub event: Event,
    /// Where its hook stands.
    pub side: Side,
    /// The instruction that it happens to, in bytes of the original: where it starts, for `LINE` and
    /// `INSTRUCTION`, else where its opcode is. For those of [`RAISING`] it is known when they happen.
    pub offset: ByteOffset,
    /// The line of that instruction.
    pub line: Option<u32>,
    /// How many slots of the stack are in use before the hook. The value of a `PY_RETURN` or `PY_YIELD` and
    /// the exception of an `EXCEPTION_HANDLED` are the topmost of them.
    pub depth: u32,
    /// A handler that is also reached by re-raising, which restores an earlier instruction's position:
    /// only when running can it be told whether that was on this line. The position, in units of the
    /// copy, is the second value from the top of the stack.
    pub restores_position: bool,
    /// The end of what an `async for` awaits for an item: below the item lies the asynchronous iterator.
    pub is_of_anext: bool,
    /// Where a `CALL` finds what is called, below the hook.
    pub call: Option<Operands>,
    /// Where a jump or a branch goes, in bytes of the original.
    pub destination: Option<ByteOffset>,
}

/// The events that gates tell of: they have one place for the whole code object, at these indices.
pub const RAISING: [Event; 4] = [Event::Raise, Event::Reraise, Event::PyUnwind, Event::PyThrow];

/// What the stack holds when a call is about to be made, from the bottom up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operands {
    /// A null and the callable, or the callable and its first argument; then so many arguments, the
    /// named ones last.
    Each(u32),
    /// The callable, something iterable with the positional arguments and, if `named`, a dict.
    Packed {
        /// Whether there is a dict.
        named: bool,
    },
}

impl Operands {
    /// How many slots they take.
    fn slots(self) -> u32 {
        match self {
            Operands::Each(count) => count.saturating_add(2),
            Operands::Packed { named } => 2 + u32::from(named),
        }
    }
}

/// On which side of its instruction a place stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What is raised passes it on its way in.
    Handler,
    /// Only what comes from another line passes it.
    BeforeFromOtherLine,
    /// All that reaches the instruction passes it.
    Before,
    /// All that goes on from the instruction passes it.
    Behind,
    /// Only what jumps from the instruction passes it.
    Taken,
    /// It has no hook of its own: what is raised passes a gate. A `LINE` there is that of what is thrown in.
    Raising,
}

/// A code object taken apart: its instructions, the depth of the stack, and all places.
#[derive(Debug)]
pub struct Analysis {
    pub(super) instructions: Vec<Instruction>,
    pub(super) positions: Vec<Position>,
    stacks: Stacks,
    pub(super) guards: Vec<Guard>,
    /// The index of each instruction's guard, or [`NONE`].
    pub(super) guarded_by: Vec<u32>,
    pub(super) places: Vec<Place>,
    /// The instruction of each place.
    pub(super) instruction_of: Vec<u32>,
    /// The first `RESUME`: what stands before it sets the frame up, and is not the program's.
    pub(super) first: usize,
    pub(super) first_line: i32,
    pub(super) stack_size: u32,
    pub(super) const_count: u32,
    pub(super) name_count: u32,
    pub(super) line_table_length: usize,
    is_generator: bool,
}

impl Analysis {
    /// Takes a code object apart. Time and memory grow with its length alone.
    ///
    /// # Errors
    ///
    /// Whatever the compiler would not make, as far as rewriting depends on it.
    pub fn new(code: &CodeBytes<'_>) -> Result<Analysis, RewriteError> {
        let decoded = decode(code.code)?;
        let mut cursor = Cursor::new(code.line_table, code.first_line);
        let positions = decoded
            .instructions
            .iter()
            .map(|instruction| cursor.at(instruction.opcode_unit()))
            .collect::<Result<Vec<_>, _>>()?;

        let count = decoded.instructions.len();
        let mut guards = Vec::new();
        let mut alike = FxHashMap::default();
        let mut guarded_by = vec![NONE; count];
        for entry in exception_table::decode(code.exception_table)? {
            let index = |unit| decoded.starting_at(unit).ok_or(RewriteError::ExceptionTable);
            let (start, end) = (index(entry.start)?, index(entry.end)?);
            let handler = index(entry.target)?;
            if handler as usize == count {
                return Err(RewriteError::ExceptionTable);
            }
            guarded_by[start as usize..end as usize].fill(guards.len() as u32);
            let alike = *alike.entry((handler, entry.depth, entry.lasti)).or_insert(guards.len() as u32);
            guards.push(Guard { handler, depth: entry.depth, lasti: entry.lasti, alike });
        }

        let stacks = stacks(&decoded.instructions, &guards, &guarded_by, code.stack_size)?;
        let mut analysis = Analysis {
            instructions: decoded.instructions,
            positions,
            stacks,
            guards,
            guarded_by,
            places: Vec::with_capacity(2 * count),
            instruction_of: Vec::with_capacity(2 * count),
            first: count,
            first_line: code.first_line,
            stack_size: code.stack_size,
            const_count: code.const_count,
            name_count: code.name_count,
            line_table_length: code.line_table.len(),
            is_generator: code.is_generator,
        };
        analysis.check_handlers()?;
        analysis.find_places();
        Ok(analysis)
    }

    /// All places, in the order of the code. It does not depend on what is hooked.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// How many slots of the stack are in use before the instruction that contains this unit of the
    /// original; `None` if there is none or no path reaches it.
    pub fn depth_before(&self, unit: UnitIndex) -> Option<u32> {
        self.containing(unit).map(|k| self.stacks.depths[k])
    }

    /// The index of the instruction that contains this unit, if a path reaches it.
    pub(super) fn containing(&self, unit: UnitIndex) -> Option<usize> {
        let behind = self.instructions.partition_point(|instruction| instruction.start <= unit.0);
        let k = behind.checked_sub(1)?;
        (unit.0 < self.instructions[k].end() && self.stacks.depths[k] != UNREACHED).then_some(k)
    }

    /// Whether a path leads to an instruction.
    pub(super) fn is_reached(&self, k: usize) -> bool {
        self.stacks.depths[k] != UNREACHED
    }

    pub(super) fn opcode(&self, k: usize) -> u8 {
        self.instructions[k].opcode()
    }

    /// Whether going from one instruction to another brings a `LINE` event, if the other has a line.
    pub(super) fn changes_line(&self, from: usize, to: usize) -> bool {
        self.positions[from].line() != self.positions[to].line() || self.is_start(from)
    }

    /// The same for an exception that is raised at `from`. A `RERAISE` with an argument has put
    /// back the position of an earlier instruction, which is not known here.
    pub(super) fn changes_line_by_raising(&self, from: usize, handler: usize) -> bool {
        self.restores_position(from) || self.changes_line(from, handler)
    }

    fn restores_position(&self, k: usize) -> bool {
        self.opcode(k) == RERAISE && self.instructions[k].arg != 0
    }

    /// How many slots of the stack are in use before an instruction, or [`UNREACHED`].
    pub(super) fn depth(&self, k: usize) -> u32 {
        self.stacks.depths[k]
    }

    /// How many slots of the stack are kept while an exception from instruction `k`, which leaves so many as they
    /// were, is told of: at least those for the handler, and more if loops go on below, whose iterators may run
    /// code of their own when they are dropped.
    pub(super) fn kept(&self, k: usize, untouched: u32, for_handler: u32) -> u32 {
        self.stacks.kept_by_loops(k, untouched).max(for_handler)
    }

    /// The slots of a frame's stack, from its bottom, that hold positions in its code: what raising again restores.
    /// It stands at the instruction that contains this unit, and no more than `depth` slots are in use.
    pub fn positions_on_stack(&self, unit: UnitIndex, depth: u32) -> impl Iterator<Item = u32> {
        self.containing(unit).into_iter().flat_map(move |k| self.stacks.positions(k, depth))
    }

    /// How many slots of the stack are as they were if an instruction raises.
    pub(super) fn untouched(&self, k: usize) -> u32 {
        let instruction = &self.instructions[k];
        self.stacks.depths[k].saturating_sub(instruction.row.takes(instruction.arg))
    }

    /// The depths of the stack behind an instruction: where it goes on, and where it jumps.
    pub(super) fn depths_behind(&self, k: usize) -> impl Iterator<Item = u32> {
        let instruction = &self.instructions[k];
        let next = instruction.row.goes_on().then(|| self.stacks.depths[k + 1]);
        let target = (instruction.target != NONE).then(|| self.stacks.depths[instruction.target as usize]);
        next.into_iter().chain(target)
    }

    /// Whether an instruction raises again what was raised before. `raise` alone does, but for an error of its own
    /// if there is nothing to raise.
    pub(super) fn reraises(&self, k: usize) -> bool {
        let instruction = &self.instructions[k];
        match instruction.opcode() {
            RERAISE | END_ASYNC_FOR => true,
            RAISE_VARARGS => instruction.arg == 0,
            _ => false,
        }
    }

    /// Whether what an instruction raises is the program's: not what sets the frame up. A generator that has not
    /// begun stands at its making when something is thrown into it.
    pub(super) fn is_gated(&self, k: usize) -> bool {
        k >= self.first || self.opcode(k) == RETURN_GENERATOR
    }

    /// The function begins behind this instruction.
    pub(super) fn is_start(&self, k: usize) -> bool {
        self.opcode(k) == RESUME && self.instructions[k].arg == 0
    }

    /// In front of handlers there must be room for gates. Handlers of the compiler's own begin elsewhere.
    fn check_handlers(&self) -> Result<(), RewriteError> {
        let handlers = self.guards.iter().map(|guard| guard.handler as usize);
        match handlers.filter(|&k| k > 0 && self.is_reached(k)).find(|&k| !self.can_part_from_previous(k)) {
            Some(k) => Err(RewriteError::Context(UnitIndex(self.instructions[k].start))),
            None => Ok(()),
        }
    }

    /// Whether any block may stand between an instruction and the one in front of it.
    fn can_part_from_previous(&self, k: usize) -> bool {
        match self.opcode(k - 1) {
            KW_NAMES | PRECALL => false,
            SEND => self.opcode(k) != YIELD_VALUE,
            _ => self.opcode(k) != RESUME,
        }
    }

    /// Whether a hook may stand directly before an instruction: see `assemble` for one behind a `SEND`.
    fn can_be_hooked(&self, k: usize) -> bool {
        self.can_part_from_previous(k) || (self.opcode(k) == YIELD_VALUE && self.opcode(k - 1) == SEND)
    }

    /// Whether a block may stand behind an instruction that goes on.
    fn can_be_hooked_behind(&self, k: usize) -> bool {
        k + 1 < self.instructions.len() && self.can_part_from_previous(k + 1)
    }

    /// Whether a block may stand where an instruction jumps, and where that is.
    fn taken(&self, k: usize) -> Option<usize> {
        let target = self.instructions[k].target;
        let target = (target != NONE).then_some(target as usize)?;
        (target > self.first && self.can_part_from_previous(target)).then_some(target)
    }

    /// Where an `async for` goes when its iterator is at its end, for the `SEND` that asks for the next item.
    fn end_of_async_for(&self, send: usize) -> Option<usize> {
        let anext = send.checked_sub(2).filter(|&k| self.opcode(k) == GET_ANEXT)?;
        let handler = self.guards.get(self.guarded_by[anext] as usize)?.handler as usize;
        (self.opcode(handler) == END_ASYNC_FOR).then_some(handler)
    }

    fn find_places(&mut self) {
        let count = self.instructions.len();
        let Some(first) = (0..count).find(|&k| self.opcode(k) == RESUME) else {
            return;
        };
        self.first = first;
        let mut entered_from_other_line = vec![false; count];
        let mut restores_position = vec![false; count];
        for k in 0..count {
            if self.stacks.depths[k] == UNREACHED {
                continue;
            }
            let instruction = &self.instructions[k];
            if instruction.row.goes_on() {
                entered_from_other_line[k + 1] |= self.changes_line(k, k + 1);
            }
            if instruction.target != NONE {
                let target = instruction.target as usize;
                entered_from_other_line[target] |= self.changes_line(k, target);
            }
            if let Some(guard) = self.guards.get(self.guarded_by[k] as usize) {
                let handler = guard.handler as usize;
                entered_from_other_line[handler] |= self.changes_line_by_raising(k, handler);
                restores_position[handler] |= guard.lasti && self.restores_position(k);
            }
        }
        for event in RAISING {
            self.add_place(event, Side::Raising, first, first);
        }
        if self.is_start(first) && self.stacks.depths[first] != UNREACHED {
            self.add_place(Event::PyStart, Side::Behind, first, first);
        }
        let mut is_handler = vec![false; count];
        let mut ends_async_for = vec![None; count];
        for k in first..count {
            if let Some(guard) = self.guards.get(self.guarded_by[k] as usize) {
                is_handler[guard.handler as usize] |= self.is_reached(k);
            }
            if self.opcode(k) == SEND
                && let Some(end) = self.end_of_async_for(k)
            {
                ends_async_for[end] = Some(k);
            }
        }
        let is_warm = self.without_exceptions();
        let mut told_of = first;
        for k in first + 1..count {
            if self.stacks.depths[k] == UNREACHED {
                continue;
            }
            if is_handler[k] {
                self.add_place(Event::ExceptionHandled, Side::Handler, k, k);
            }
            let opcode = self.opcode(k);
            let has_line = self.positions[k].line().is_some();
            // END_ASYNC_FOR ends a loop whose line has been reported; CPython leaves it out too.
            let is_line = entered_from_other_line[k] && has_line && opcode != END_ASYNC_FOR;
            if is_line && self.can_part_from_previous(k) {
                let place = self.add_place(Event::Line, Side::BeforeFromOtherLine, k, k);
                place.restores_position = restores_position[k];
            }
            let call = self.call_that_begins(k);
            // Nothing stands between the parts of a call: all are told of before the first.
            if k > told_of && opcode != RESUME && self.can_be_hooked(k) {
                told_of = call.map_or(k, |(call, _)| call);
                for to in k..=told_of {
                    self.add_place(Event::Instruction, Side::Before, k, to);
                }
            }
            match opcode {
                RETURN_VALUE => {
                    if self.is_generator {
                        self.add_place(Event::StopIteration, Side::Before, k, k);
                    }
                    self.add_place(Event::PyReturn, Side::Before, k, k);
                }
                YIELD_VALUE => {
                    self.add_place(Event::PyYield, Side::Before, k, k);
                    // A `yield from` or `await` handles what is thrown into it, from 3.12 on. There a line begins,
                    // since the RESUME where the generator waits hides none.
                    if self.opcode(k - 1) == SEND && has_line {
                        self.add_place(Event::Line, Side::Raising, k, k);
                    }
                }
                JUMP_FORWARD | JUMP_BACKWARD
                    if self.can_be_hooked(k) && !self.leaps_handlers(k, &is_warm) =>
                {
                    let target = self.start_of(self.instructions[k].target as usize);
                    self.add_place(Event::Jump, Side::Before, k, k).destination = Some(target);
                }
                RESUME => {
                    let event = if self.is_start(k) { Event::PyStart } else { Event::PyResume };
                    self.add_place(event, Side::Behind, k, k);
                }
                _ => {}
            }
            if let Some((call, operands)) = call {
                // These three are always next to each other.
                self.add_place(Event::Call, Side::Before, k, call).call = Some(operands);
                self.add_place(Event::CReturn, Side::Behind, call, call);
                self.add_place(Event::CRaise, Side::Raising, call, call);
            }
            self.add_branches(k, ends_async_for[k]);
        }
    }

    /// Whether a path without exceptions leads to each instruction.
    fn without_exceptions(&self) -> Vec<bool> {
        let count = self.instructions.len();
        if self.guards.is_empty() {
            return vec![true; count];
        }
        let mut is_warm = vec![false; count];
        let mut paths = vec![0];
        while let Some(mut k) = paths.pop() {
            while k < count && !std::mem::replace(&mut is_warm[k], true) {
                let instruction = &self.instructions[k];
                if instruction.target != NONE {
                    paths.push(instruction.target as usize);
                }
                if !instruction.row.goes_on() {
                    break;
                }
                k += 1;
            }
        }
        is_warm
    }

    /// Whether the hook at a place fits into a stack of so many slots. One without room for its constant is tight,
    /// and takes the place of the value on top: it must be a value, and no handler's.
    pub(super) fn has_room(&self, place: usize, limit: u32) -> bool {
        let (k, Place { side, depth, .. }) = (self.instruction_of[place] as usize, self.places[place]);
        let below = if side == Side::Behind { Some(k) } else { k.checked_sub(1) };
        let is_value = below.is_none_or(|k| self.opcode(k) != PUSH_NULL);
        // Handlers keep less than the whole stack, for they are given the exception.
        depth < limit || (depth == limit && limit >= self.stack_size && depth > 0 && is_value)
    }

    /// Whether a jump does nothing but pass by handlers. CPython 3.12 and later have these behind all other
    /// code, so that there is nothing to jump over and no event.
    fn leaps_handlers(&self, k: usize, is_warm: &[bool]) -> bool {
        let target = self.instructions[k].target as usize;
        is_warm[k] && target > k + 1 && !is_warm[k + 1..target].contains(&true)
    }

    /// Adds the places on the two ways that lead away from an instruction. `async_for` is the `SEND` of the
    /// loop that ends with it.
    fn add_branches(&mut self, k: usize, async_for: Option<usize>) {
        let opcode = self.opcode(k);
        let is_branch = self.instructions[k].row.is_branch();
        // From 3.12 on no branch jumps backward: one with the opposite condition has a jump behind it.
        let goes_back = is_branch && self.instructions[k].target <= k as u32;
        let (behind, taken) = match is_branch && !goes_back {
            true => (Event::BranchLeft, Event::BranchRight),
            false => (Event::BranchRight, Event::BranchLeft),
        };
        let branch = if is_branch { Some(k) } else { async_for };
        if let Some(to) = branch.filter(|_| self.can_be_hooked_behind(k)) {
            let next = self.start_of(k + 1);
            self.add_place(behind, Side::Behind, k, to).destination = Some(next);
        }
        let Some(target) = self.taken(k) else { return };
        if matches!(opcode, FOR_ITER | SEND) {
            let is_of_anext = k >= 2 && self.opcode(k - 2) == GET_ANEXT;
            self.add_place(Event::StopIteration, Side::Taken, k, k).is_of_anext = is_of_anext;
        }
        let is_async_for = opcode == SEND && self.end_of_async_for(k).is_some();
        if is_branch || is_async_for {
            let target = self.start_of(target);
            self.add_place(taken, Side::Taken, k, k).destination = Some(target);
        }
    }

    /// The call that begins with this instruction: the one that makes it, which the event happens to,
    /// and its operands.
    fn call_that_begins(&self, k: usize) -> Option<(usize, Operands)> {
        let opcode = |k: usize| self.instructions.get(k).map(Instruction::opcode);
        let arg = |k: usize| self.instructions[k].arg;
        let (call, operands) = match opcode(k)? {
            CALL_FUNCTION_EX => (k, Operands::Packed { named: arg(k) & 1 != 0 }),
            KW_NAMES if opcode(k + 1) == Some(PRECALL) => (k + 2, Operands::Each(arg(k + 1))),
            PRECALL if k == 0 || opcode(k - 1) != Some(KW_NAMES) => (k + 1, Operands::Each(arg(k))),
            _ => return None,
        };
        let is_whole =
            call == k || (opcode(call) == Some(CALL) && self.stacks.depths[call] == self.stacks.depths[k]);
        (is_whole && self.stacks.depths[k] >= operands.slots()).then_some((call, operands))
    }

    /// Adds a place that stands at instruction `k` and happens to instruction `to`.
    fn add_place(&mut self, event: Event, side: Side, k: usize, to: usize) -> &mut Place {
        let instruction = &self.instructions[to];
        let unit = match event {
            Event::Line | Event::Instruction => instruction.start,
            _ => instruction.opcode_unit(),
        };
        let depth = match side {
            Side::Behind => {
                let effect = self.instructions[k].row.effect(self.instructions[k].arg, false);
                u32::try_from(i64::from(self.stacks.depths[k]) + effect).unwrap_or(0)
            }
            Side::Taken => self.stacks.depths[self.instructions[k].target as usize],
            _ => self.stacks.depths[k],
        };
        self.instruction_of.push(k as u32);
        self.places.push(Place {
            event,
            side,
            offset: ByteOffset::from(UnitIndex(unit)),
            line: self.positions[to].line(),
            depth,
            restores_position: false,
            is_of_anext: false,
            call: None,
            destination: None,
        });
        let last = self.places.len() - 1;
        &mut self.places[last]
    }

    /// Where an instruction starts.
    fn start_of(&self, k: usize) -> ByteOffset {
        ByteOffset::from(UnitIndex(self.instructions[k].start))
    }
}
