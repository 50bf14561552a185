//! 3.12 and 3.13: the branches in the instructions of a code object, where each goes on and where it
//! jumps: offsets as the interpreter's `BRANCH` event tells them. It reads bytes, and must never look
//! into objects but for a code object's bytes.
//!
//! The compiler has removed what is no branch, so these are all that the event is made for. `async for`
//! is none: these versions end it by an exception.

#![forbid(unsafe_code)]

use crate::co_branches::Branch;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;
use std::collections::HashMap;

/// What an opcode is to this.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Other,
    /// The argument of the next instruction has another byte in front.
    ExtendedArg,
    /// Jumps by its argument, in code units, or goes on.
    Conditional,
    /// As that, but lands behind what tidies up after a loop, which is for those who come there otherwise.
    Loop,
}

/// How many code units tidy up after a loop: `END_FOR`, on 3.13 with a `POP_TOP`.
const TIDYING: u32 = if cfg!(Py_3_13) { 2 } else { 1 };

/// A code unit's bytes.
const UNIT: u32 = 2;

/// What must be known of this interpreter's opcodes.
pub(super) struct Opcodes {
    kinds: [Kind; 256],
    /// How many code units of inline cache follow each.
    caches: [u8; 256],
}

/// What is known of the opcodes, asked for once.
pub(super) fn opcodes(py: Python<'_>) -> PyResult<&'static Opcodes> {
    static OPCODES: PyOnceLock<Opcodes> = PyOnceLock::new();
    OPCODES.get_or_try_init(py, || Opcodes::of_interpreter(py))
}

/// The instructions of a code object, without what events have made of them.
pub(super) fn instructions<'py>(code: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(code.getattr(intern!(code.py(), "co_code"))?.cast_into()?)
}

/// The branches of a code object, in the order of its code.
pub(crate) fn branches_of(code: &Bound<'_, PyAny>) -> PyResult<Vec<Branch>> {
    Ok(opcodes(code.py())?.branches(instructions(code)?.as_bytes()))
}

impl Opcodes {
    /// As the interpreter says itself.
    ///
    /// # Errors
    /// If its module `opcode` has been tampered with.
    pub(super) fn of_interpreter(py: Python<'_>) -> PyResult<Opcodes> {
        let module = py.import("opcode")?;
        let opcodes: HashMap<String, usize> = module.getattr(intern!(py, "opmap"))?.extract()?;
        let mut known = Opcodes { kinds: [Kind::Other; 256], caches: [0; 256] };
        for (name, &opcode) in &opcodes {
            let kind = match name.as_str() {
                "EXTENDED_ARG" => Kind::ExtendedArg,
                "FOR_ITER" => Kind::Loop,
                name if name.starts_with("POP_JUMP_IF_") => Kind::Conditional,
                _ => continue,
            };
            if let Some(place) = known.kinds.get_mut(opcode) {
                *place = kind;
            }
        }
        // 3.12 lists the caches by opcode, 3.13 those that there are by name.
        let caches = module.getattr(intern!(py, "_inline_cache_entries"))?;
        let caches: Vec<(usize, u8)> = match caches.extract::<Vec<u8>>() {
            Ok(by_opcode) => by_opcode.into_iter().enumerate().collect(),
            Err(_) => {
                let by_name: HashMap<String, u8> = caches.extract()?;
                by_name.iter().filter_map(|(name, &units)| Some((*opcodes.get(name)?, units))).collect()
            }
        };
        for (opcode, units) in caches {
            if let Some(place) = known.caches.get_mut(opcode) {
                *place = units;
            }
        }
        Ok(known)
    }

    /// The offset of the instruction behind the one at an offset: past its inline caches.
    pub(super) fn behind(&self, code: &[u8], offset: u32) -> u32 {
        let opcode = code.get(offset as usize).copied().unwrap_or_default();
        offset + UNIT * (1 + u32::from(self.caches[usize::from(opcode)]))
    }

    /// The branches of some instructions, in their order.
    pub(super) fn branches(&self, code: &[u8]) -> Vec<Branch> {
        let (mut found, mut offset, mut argument) = (Vec::new(), 0_u32, 0_u32);
        while let Some(&[opcode, low]) = code.get(offset as usize..).and_then(|rest| rest.first_chunk()) {
            let behind = self.behind(code, offset);
            let whole = argument << 8 | u32::from(low);
            let kind = self.kinds[usize::from(opcode)];
            match kind {
                Kind::Conditional => found.push((offset, behind, jump(behind, whole))),
                Kind::Loop => found.push((offset, behind, jump(behind, whole.wrapping_add(TIDYING)))),
                Kind::ExtendedArg | Kind::Other => {}
            }
            argument = if kind == Kind::ExtendedArg { whole } else { 0 };
            offset = behind;
        }
        found
    }
}

/// Where a jump by so many code units lands. Bytes that nobody compiled may say anything.
fn jump(from: u32, units: u32) -> u32 {
    from.wrapping_add(UNIT.wrapping_mul(units))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOP: u8 = 0;
    const EXTENDED_ARG: u8 = 1;
    const JUMP: u8 = 2;
    const FOR: u8 = 3;

    fn opcodes() -> Opcodes {
        let mut opcodes = Opcodes { kinds: [Kind::Other; 256], caches: [0; 256] };
        opcodes.kinds[usize::from(EXTENDED_ARG)] = Kind::ExtendedArg;
        opcodes.kinds[usize::from(JUMP)] = Kind::Conditional;
        opcodes.kinds[usize::from(FOR)] = Kind::Loop;
        opcodes.caches[usize::from(FOR)] = 2;
        opcodes
    }

    #[test]
    fn caches_are_no_instructions() {
        let code = [NOP, 0, FOR, 3, JUMP, 9, JUMP, 9, JUMP, 1, NOP, 0];
        assert_eq!(opcodes().branches(&code), [(2, 8, 8 + 2 * (3 + TIDYING)), (8, 10, 12)]);
    }

    #[test]
    fn arguments_are_put_together() {
        let code = [EXTENDED_ARG, 1, EXTENDED_ARG, 2, JUMP, 3, JUMP, 4];
        assert_eq!(opcodes().branches(&code), [(4, 6, 6 + 2 * 0x01_02_03), (6, 8, 16)]);
    }

    #[test]
    fn arguments_that_no_compiler_writes_are_no_panic() {
        let code = [EXTENDED_ARG, 255, EXTENDED_ARG, 255, EXTENDED_ARG, 255, EXTENDED_ARG, 255, FOR, 255];
        assert_eq!(opcodes().branches(&code).len(), 1);
    }

    #[test]
    fn bytes_that_end_too_soon_are_left() {
        assert_eq!(opcodes().branches(&[]), []);
        assert_eq!(opcodes().branches(&[NOP]), []);
        assert_eq!(opcodes().branches(&[JUMP, 1, FOR]), [(0, 2, 4)]);
        // Caches beyond the end.
        assert_eq!(opcodes().branches(&[FOR, 0]), [(0, 6, 6 + 2 * TIDYING)]);
    }
}
