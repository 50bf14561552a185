//! How much is on the stack before each instruction. It owns the walk over all paths, exceptions
//! included, and must never look at lines or events.

use super::RewriteError;
use super::instruction::{Instruction, NONE};
use monitrace_core::UnitIndex;

/// The depth of an instruction that no path reaches.
pub(super) const UNREACHED: u32 = u32::MAX;

/// What an exception-table entry says, in instruction indices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard {
    /// The index of the instruction that handles an exception.
    pub(super) handler: u32,
    /// How many slots of the stack are kept for it.
    pub(super) depth: u32,
    /// Whether it gets the position before the exception.
    pub(super) lasti: bool,
    /// The index of the first guard that is like this one.
    pub(super) alike: u32,
}

/// The depth of the stack before each instruction, in slots.
///
/// `guarded_by` is the index in `guards` of each instruction's guard, or [`NONE`].
pub(super) fn depths(
    instructions: &[Instruction],
    guards: &[Guard],
    guarded_by: &[u32],
    stack_size: u32,
) -> Result<Vec<u32>, RewriteError> {
    let mut depths = vec![UNREACHED; instructions.len()];
    let mut guard_seen = vec![false; guards.len()];
    // Where paths go on, and with what depth. Each instruction is walked once, so this stays short.
    let mut paths = vec![(0, 0)];
    while let Some((from, mut depth)) = paths.pop() {
        let mut k: usize = from;
        loop {
            let Some(instruction) = instructions.get(k) else {
                return Err(RewriteError::NoReturn);
            };
            let wrong = RewriteError::Stack(UnitIndex(instruction.start));
            if depth > stack_size {
                return Err(wrong);
            }
            if depths[k] != UNREACHED {
                if depths[k] != depth {
                    return Err(wrong);
                }
                break;
            }
            depths[k] = depth;

            if guarded_by[k] != NONE {
                let index = guarded_by[k] as usize;
                let guard = &guards[index];
                if guard.depth > depth {
                    return Err(wrong);
                }
                if !std::mem::replace(&mut guard_seen[index], true) {
                    paths.push((guard.handler as usize, guard.depth + 1 + u32::from(guard.lasti)));
                }
            }
            let after = |jumped| {
                let after = i64::from(depth) + instruction.row.effect(instruction.arg, jumped);
                u32::try_from(after).map_err(|_| wrong)
            };
            if instruction.target != NONE {
                paths.push((instruction.target as usize, after(true)?));
            }
            if !instruction.row.goes_on() {
                break;
            }
            depth = after(false)?;
            k += 1;
        }
    }
    Ok(depths)
}
