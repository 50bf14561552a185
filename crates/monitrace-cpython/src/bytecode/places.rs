//! Where events can be hooked. It owns the rules for each event and must never write code.
//!
//! A place belongs to one instruction and stands before or behind it. To add an event, add its rule
//! to `find_places` and its side to `side`; what stands on an edge of its own (a taken
//! branch, a raised exception) needs a block out of line, which `assemble` appends like a landing.

use super::depth::{Guard, UNREACHED, depths};
use super::instruction::{Instruction, NONE, decode};
use super::line_table::{Cursor, Position};
use super::opcodes::{END_ASYNC_FOR, KW_NAMES, PRECALL, RERAISE, RESUME, RETURN_VALUE, SEND, YIELD_VALUE};
use super::{CodeBytes, RewriteError, exception_table};
use monitrace_core::{ByteOffset, Event, UnitIndex};

/// A place in the original code where an event can be hooked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// What happens there.
    pub event: Event,
    /// The start of the instruction that it happens to, in bytes of the original.
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

pub(super) fn side(event: Event) -> Side {
    match event {
        Event::Line => Side::BeforeFromOtherLine,
        Event::PyStart => Side::Behind,
        _ => Side::Before,
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
        let mut guarded_by = vec![NONE; count];
        for entry in exception_table::decode(code.exception_table)? {
            let index = |unit| decoded.starting_at(unit).ok_or(RewriteError::ExceptionTable);
            let (start, end) = (index(entry.start)?, index(entry.end)?);
            let handler = index(entry.target)?;
            if handler as usize == count {
                return Err(RewriteError::ExceptionTable);
            }
            guarded_by[start as usize..end as usize].fill(guards.len() as u32);
            guards.push(Guard { handler, depth: entry.depth, lasti: entry.lasti });
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
            first_line: code.first_line,
            stack_size: code.stack_size,
            const_count: code.const_count,
            line_table_length: code.line_table.len(),
        };
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
        // Everything before the first RESUME sets the frame up, and is not the program's.
        let Some(first) = (0..count).find(|&k| self.opcode(k) == RESUME) else {
            return;
        };
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
            self.add_place(Event::PyStart, first);
        }
        for (k, &entered) in entered_from_other_line.iter().enumerate().skip(first + 1) {
            if self.depths[k] == UNREACHED {
                continue;
            }
            let opcode = self.opcode(k);
            let has_line = self.positions[k].line().is_some();
            // END_ASYNC_FOR ends a loop whose line has been reported; CPython leaves it out too.
            if entered && has_line && opcode != END_ASYNC_FOR && self.can_part_from_previous(k) {
                self.add_place(Event::Line, k);
                if let Some(place) = self.places.last_mut() {
                    place.restores_position = restores_position[k];
                }
            }
            if opcode == RETURN_VALUE {
                self.add_place(Event::PyReturn, k);
            }
            if self.is_start(k) {
                self.add_place(Event::PyStart, k);
            }
        }
    }

    fn add_place(&mut self, event: Event, k: usize) {
        let offset = ByteOffset::from(UnitIndex(self.instructions[k].start));
        let (line, depth) = (self.positions[k].line(), self.depths[k]);
        self.places.push(Place { event, offset, line, depth, restores_position: false });
        self.instruction_of.push(k as u32);
    }
}
