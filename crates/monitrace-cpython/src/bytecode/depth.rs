//! How much is on the stack before each instruction, and which loops go on there. It owns the walk over all
//! paths, exceptions included, and must never look at lines or events.

use super::RewriteError;
use super::instruction::{Instruction, NONE};
use super::opcodes::{FOR_ITER, GET_ANEXT};
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

/// A loop, whose iterator lies on the stack as long as it goes on.
#[derive(Debug, Clone, Copy)]
struct Loop {
    /// How many slots of the stack are in use up to its iterator, that included.
    depth: u32,
    /// The index of the loop around it, or [`NONE`].
    outer: u32,
}

/// What the walk finds before each instruction.
#[derive(Debug)]
pub(super) struct Stacks {
    /// The depth, in slots, or [`UNREACHED`].
    pub(super) depths: Vec<u32>,
    /// The index of the innermost loop, or [`NONE`].
    loop_of: Vec<u32>,
    loops: Vec<Loop>,
}

impl Stacks {
    /// How many slots of the stack the iterators take, of the loops that go on at instruction `k`, if no more
    /// than `depth` are in use.
    pub(super) fn kept_by_loops(&self, k: usize, depth: u32) -> u32 {
        match self.loops.get(self.within(self.loop_of[k], depth) as usize) {
            Some(innermost) => innermost.depth,
            None => 0,
        }
    }

    /// The loop or, if that is over at such a depth, the innermost one around it that is not.
    fn within(&self, mut index: u32, depth: u32) -> u32 {
        while let Some(candidate) = self.loops.get(index as usize).filter(|it| it.depth > depth) {
            index = candidate.outer;
        }
        index
    }

    /// The loop that goes on where its iterator is asked.
    fn asking(&mut self, outer: u32, depth: u32) -> u32 {
        if self.loops.get(outer as usize).is_some_and(|outer| outer.depth == depth) {
            return outer;
        }
        self.loops.push(Loop { depth, outer });
        self.loops.len() as u32 - 1
    }
}

/// Walks all paths.
///
/// `guarded_by` is the index in `guards` of each instruction's guard, or [`NONE`].
pub(super) fn stacks(
    instructions: &[Instruction],
    guards: &[Guard],
    guarded_by: &[u32],
    stack_size: u32,
) -> Result<Stacks, RewriteError> {
    let count = instructions.len();
    let mut stacks = Stacks { depths: vec![UNREACHED; count], loop_of: vec![NONE; count], loops: Vec::new() };
    let mut guard_seen = vec![false; guards.len()];
    // Where paths go on, with what depth and in which loop. Each instruction is walked once, so this stays short.
    let mut paths = vec![(0, 0, NONE)];
    while let Some((from, mut depth, mut innermost)) = paths.pop() {
        let mut k: usize = from;
        loop {
            let Some(instruction) = instructions.get(k) else {
                return Err(RewriteError::NoReturn);
            };
            let wrong = RewriteError::Stack(UnitIndex(instruction.start));
            if depth > stack_size {
                return Err(wrong);
            }
            if stacks.depths[k] != UNREACHED {
                if stacks.depths[k] != depth {
                    return Err(wrong);
                }
                break;
            }
            innermost = stacks.within(innermost, depth);
            if matches!(instruction.opcode(), FOR_ITER | GET_ANEXT) {
                innermost = stacks.asking(innermost, depth);
            }
            stacks.depths[k] = depth;
            stacks.loop_of[k] = innermost;

            if guarded_by[k] != NONE {
                let index = guarded_by[k] as usize;
                let guard = &guards[index];
                if guard.depth > depth {
                    return Err(wrong);
                }
                if !std::mem::replace(&mut guard_seen[index], true) {
                    let handled_in = stacks.within(innermost, guard.depth);
                    paths.push((
                        guard.handler as usize,
                        guard.depth + 1 + u32::from(guard.lasti),
                        handled_in,
                    ));
                }
            }
            let after = |jumped| {
                let after = i64::from(depth) + instruction.row.effect(instruction.arg, jumped);
                u32::try_from(after).map_err(|_| wrong)
            };
            if instruction.target != NONE {
                paths.push((instruction.target as usize, after(true)?, innermost));
            }
            if !instruction.row.goes_on() {
                break;
            }
            depth = after(false)?;
            k += 1;
        }
    }
    Ok(stacks)
}
