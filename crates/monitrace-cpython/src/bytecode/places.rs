//! Where events can be hooked. It owns the rules for each event and must never write code.
//!
//! A place belongs to one instruction and stands before or behind it, or where it raises. To add an
//! event, add its rule to `find_places` and its side to `side`. What stands on an edge of its own (a
//! taken branch) needs a block out of line, as `assemble` appends gates and landings.

use super::depth::{Guard, UNREACHED, depths};
use super::instruction::{Instruction, NONE, decode};
use super::line_table::{Cursor, Position};
use super::opcodes::{
    CALL, CALL_FUNCTION_EX, END_ASYNC_FOR, KW_NAMES, PRECALL, RERAISE, RESUME, RETURN_VALUE, SEND,
    YIELD_VALUE,
};
use super::{CodeBytes, RewriteError, exception_table};
use monitrace_core::{ByteOffset, Event, UnitIndex};
use std::collections::HashMap;

/// A place in the original code where an event can be hooked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// What happens there.
    pub event: Event,
    /// The instruction that it happens to, in bytes of the original: where it starts or, for calls, where
    /// its opcode is.
    pub offset: ByteOffset,
    /// The line of that instruction.
    pub line: Option<u32>,
    /// How many slots of the stack are in use before the hook. The value of a `PY_RETURN` is the
    /// topmost of them.
    pub depth: u32,
    /// A handler that is also reached by re-raising, which restores an earlier instruction's position:
    /// only when running can it be told whether that was on this line. The position, in units of the
    /// copy, is the second value from the top of the stack.
    pub restores_position: bool,
    /// Where a `CALL` finds what is called, below the hook.
    pub call: Option<Operands>,
}

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
pub(super) enum Side {
    /// Only what comes from another line passes it.
    BeforeFromOtherLine,
    /// All that reaches the instruction passes it.
    Before,
    /// All that goes on from the instruction passes it.
    Behind,
}

/// `None`: it has no hook of its own, what is raised passes a gate.
pub(super) fn side(event: Event) -> Option<Side> {
    match event {
        Event::Line => Some(Side::BeforeFromOtherLine),
        Event::PyStart | Event::CReturn => Some(Side::Behind),
        Event::CRaise => None,
        _ => Some(Side::Before),
    }
}

/// A code object taken apart: its instructions, the depth of the stack, and all places.
#[derive(Debug)]
pub struct Analysis {
    pub(super) instructions: Vec<Instruction>,
    pub(super) positions: Vec<Position>,
    pub(super) depths: Vec<u32>,
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
    pub(super) line_table_length: usize,
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
        let mut alike = HashMap::new();
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

        let depths = depths(&decoded.instructions, &guards, &guarded_by, code.stack_size)?;
        let mut analysis = Analysis {
            instructions: decoded.instructions,
            positions,
            depths,
            guards,
            guarded_by,
            places: Vec::new(),
            instruction_of: Vec::new(),
            first: count,
            first_line: code.first_line,
            stack_size: code.stack_size,
            const_count: code.const_count,
            line_table_length: code.line_table.len(),
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
        self.containing(unit).map(|k| self.depths[k])
    }

    /// The index of the instruction that contains this unit, if a path reaches it.
    pub(super) fn containing(&self, unit: UnitIndex) -> Option<usize> {
        let behind = self.instructions.partition_point(|instruction| instruction.start <= unit.0);
        let k = behind.checked_sub(1)?;
        (unit.0 < self.instructions[k].end() && self.depths[k] != UNREACHED).then_some(k)
    }

    /// Whether a path leads to an instruction.
    pub(super) fn is_reached(&self, k: usize) -> bool {
        self.depths[k] != UNREACHED
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

    /// Whether a hook may stand between an instruction and the one in front of it.
    fn can_part_from_previous(&self, k: usize) -> bool {
        match self.opcode(k - 1) {
            KW_NAMES | PRECALL => false,
            SEND => self.opcode(k) != YIELD_VALUE,
            _ => self.opcode(k) != RESUME,
        }
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
            if self.depths[k] == UNREACHED {
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
        if self.is_start(first) && self.depths[first] != UNREACHED {
            self.add_place(Event::PyStart, first, first);
        }
        for (k, &entered) in entered_from_other_line.iter().enumerate().skip(first + 1) {
            if self.depths[k] == UNREACHED {
                continue;
            }
            let opcode = self.opcode(k);
            let has_line = self.positions[k].line().is_some();
            // END_ASYNC_FOR ends a loop whose line has been reported; CPython leaves it out too.
            if entered && has_line && opcode != END_ASYNC_FOR && self.can_part_from_previous(k) {
                self.add_place(Event::Line, k, k).restores_position = restores_position[k];
            }
            if opcode == RETURN_VALUE {
                self.add_place(Event::PyReturn, k, k);
            }
            if self.is_start(k) {
                self.add_place(Event::PyStart, k, k);
            }
            if let Some((call, operands)) = self.call_that_begins(k) {
                self.add_place(Event::Call, k, call).call = Some(operands);
                // Nothing stands between the parts of a call, so these three are always next to each other.
                self.add_place(Event::CReturn, call, call);
                self.add_place(Event::CRaise, call, call);
            }
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
        let is_whole = call == k || (opcode(call) == Some(CALL) && self.depths[call] == self.depths[k]);
        (is_whole && self.depths[k] >= operands.slots()).then_some((call, operands))
    }

    /// Adds a place that stands at instruction `k` and happens to instruction `to`.
    fn add_place(&mut self, event: Event, k: usize, to: usize) -> &mut Place {
        let instruction = &self.instructions[to];
        let unit = match event {
            Event::Call | Event::CReturn | Event::CRaise => instruction.opcode_unit(),
            _ => instruction.start,
        };
        let depth = match side(event) {
            Some(Side::Behind) => {
                let effect = self.instructions[k].row.effect(self.instructions[k].arg, false);
                u32::try_from(i64::from(self.depths[k]) + effect).unwrap_or(0)
            }
            _ => self.depths[k],
        };
        self.instruction_of.push(k as u32);
        self.places.push(Place {
            event,
            offset: ByteOffset::from(UnitIndex(unit)),
            line: self.positions[to].line(),
            depth,
            restores_position: false,
            call: None,
        });
        let last = self.places.len() - 1;
        &mut self.places[last]
    }
}
