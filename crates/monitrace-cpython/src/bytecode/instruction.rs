//! Units to instructions and back. It owns the encoding of one instruction (`EXTENDED_ARG`, opcode,
//! inline caches) and must never decide what an instruction is for.

use super::RewriteError;
use super::opcodes::{self, CACHE, EXTENDED_ARG, Jump, PRECALL, Row};
use monitrace_core::UnitIndex;

/// Stands for "no instruction" in a vector of instruction indices.
pub(super) const NONE: u32 = u32::MAX;

/// More units than this are refused, so that no copy outgrows 32-bit positions.
const MOST_UNITS: usize = 1 << 27;

/// One instruction with its `EXTENDED_ARG`s and inline caches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instruction {
    pub(super) row: &'static Row,
    /// How many `EXTENDED_ARG` units come first.
    pub(super) extended: u8,
    pub(super) arg: u32,
    /// Its first unit, which is where jumps enter.
    pub(super) start: u32,
    /// The index of the instruction that it may jump to, else [`NONE`].
    pub(super) target: u32,
}

impl Instruction {
    pub(super) fn opcode(&self) -> u8 {
        self.row.number
    }

    /// The unit of the opcode: `f_lasti` and the line table's position while it runs.
    pub(super) fn opcode_unit(&self) -> u32 {
        self.start + u32::from(self.extended)
    }

    /// The unit behind its last inline cache.
    pub(super) fn end(&self) -> u32 {
        self.opcode_unit() + 1 + u32::from(self.row.caches)
    }
}

/// The instructions of a code object in order, and which of them starts at each unit.
pub(super) struct Decoded {
    pub(super) instructions: Vec<Instruction>,
    /// For each unit and the end of the code, the index of the instruction that starts there.
    starts: Vec<u32>,
}

impl Decoded {
    /// The index of the instruction that starts at this unit; at the end of the code, one behind
    /// the last.
    pub(super) fn starting_at(&self, unit: u32) -> Option<u32> {
        self.starts.get(unit as usize).copied().filter(|&k| k != NONE)
    }
}

/// Splits `co_code` into instructions and finds what each one jumps to.
pub(super) fn decode(code: &[u8]) -> Result<Decoded, RewriteError> {
    let count = code.len() / 2;
    if !code.len().is_multiple_of(2) || count > MOST_UNITS {
        return Err(RewriteError::Length);
    }
    let mut instructions = Vec::with_capacity(count);
    let mut starts = vec![NONE; count + 1];
    let mut unit = 0;
    while unit < count {
        let start = unit;
        let malformed = RewriteError::Malformed(UnitIndex(start as u32));
        let mut arg = 0;
        while code[2 * unit] == EXTENDED_ARG {
            arg = (arg | u32::from(code[2 * unit + 1])) << 8;
            unit += 1;
            if unit == count || unit - start > 3 {
                return Err(malformed);
            }
        }
        let row = match opcodes::facts(code[2 * unit]) {
            Some(row) if row.number != CACHE => row,
            _ => return Err(RewriteError::Opcode(UnitIndex(unit as u32))),
        };
        starts[start] = instructions.len() as u32;
        instructions.push(Instruction {
            row,
            extended: (unit - start) as u8,
            arg: arg | u32::from(code[2 * unit + 1]),
            start: start as u32,
            target: NONE,
        });
        unit += 1 + usize::from(row.caches);
        if unit > count {
            return Err(malformed);
        }
    }
    starts[count] = instructions.len() as u32;

    let behind_last = instructions.len() as u32;
    for instruction in &mut instructions {
        let end = i64::from(instruction.end());
        let target = match instruction.row.jump {
            Jump::No => continue,
            Jump::Forward => end + i64::from(instruction.arg),
            // To what follows, "backward" by nothing: no compiler writes it, and with a hook between the
            // two it would have to jump forward.
            Jump::Backward if instruction.arg == 0 => -1,
            Jump::Backward => end - i64::from(instruction.arg),
        };
        instruction.target = usize::try_from(target)
            .ok()
            .and_then(|unit| starts.get(unit).copied())
            .filter(|&k| k < behind_last)
            .ok_or(RewriteError::Jump(UnitIndex(instruction.start)))?;
    }
    Ok(Decoded { instructions, starts })
}

/// How many `EXTENDED_ARG`s an argument needs.
pub(super) fn extensions(arg: u32) -> u8 {
    (arg > 0xff) as u8 + (arg > 0xffff) as u8 + (arg > 0xff_ffff) as u8
}

/// Appends an instruction without its caches.
pub(super) fn encode(opcode: u8, arg: u32, extended: u8, code: &mut Vec<u8>) {
    for byte in (1..=extended).rev() {
        code.extend([EXTENDED_ARG, (arg >> (8 * byte)) as u8]);
    }
    code.extend([opcode, arg as u8]);
}

/// `PRECALL` and its specialised forms (Include/opcode.h, 3.11), which do the work of the `CALL` behind them.
const PRECALLS: [u8; 18] = [PRECALL, 64, 65, 66, 67, 72, 73, 76, 77, 78, 79, 80, 81, 113, 121, 127, 141, 143];

/// The unit at which something counts as raised that was raised at a unit: the `CALL` behind a `PRECALL`.
/// `opcode_at` may answer with specialised forms.
pub fn raising_unit(opcode_at: impl Fn(u32) -> u8, unit: u32) -> u32 {
    if !PRECALLS.contains(&opcode_at(unit)) {
        return unit;
    }
    // Behind its inline cache stands the CALL, with any EXTENDED_ARG.
    (unit + 2..).find(|&unit| opcode_at(unit) != EXTENDED_ARG).unwrap_or(unit)
}

#[cfg(test)]
mod tests {
    use super::super::opcodes::{JUMP_BACKWARD, JUMP_FORWARD, LOAD_CONST, LOAD_GLOBAL, NOP};
    use super::*;

    #[test]
    fn arguments_are_read_as_they_are_written() {
        for arg in [0, 1, 0xff, 0x100, 0xffff, 0x1_0000, 0xff_ffff, 0x100_0000, u32::MAX] {
            let mut code = Vec::new();
            encode(LOAD_CONST, arg, extensions(arg), &mut code);
            let decoded = decode(&code).ok().unwrap();
            let [instruction] = decoded.instructions[..] else { panic!("{arg}") };
            assert_eq!((instruction.arg, instruction.extended), (arg, extensions(arg)));
            assert_eq!(instruction.end() as usize, code.len() / 2);
        }
    }

    #[test]
    fn what_the_compiler_would_not_make_is_refused() {
        let refusal = |code: &[u8]| decode(code).err();
        let at = UnitIndex;
        assert_eq!(refusal(&[NOP]), Some(RewriteError::Length));
        assert_eq!(refusal(&[CACHE, 0]), Some(RewriteError::Opcode(at(0))));
        assert_eq!(refusal(&[NOP, 0, 255, 0]), Some(RewriteError::Opcode(at(1))));
        assert_eq!(refusal(&[NOP, 0, LOAD_GLOBAL, 0, 0, 0]), Some(RewriteError::Malformed(at(1))));
        assert_eq!(refusal(&[EXTENDED_ARG, 0]), Some(RewriteError::Malformed(at(0))));
        assert_eq!(refusal(&[EXTENDED_ARG, 0].repeat(5)), Some(RewriteError::Malformed(at(0))));
        assert_eq!(refusal(&[JUMP_BACKWARD, 2]), Some(RewriteError::Jump(at(0))));
        assert_eq!(refusal(&[JUMP_FORWARD, 0]), Some(RewriteError::Jump(at(0))));
        let between = [JUMP_FORWARD, 1, EXTENDED_ARG, 1, LOAD_CONST, 0];
        assert_eq!(refusal(&between), Some(RewriteError::Jump(at(0))));
    }
}
