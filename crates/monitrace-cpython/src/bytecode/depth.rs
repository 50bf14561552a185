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

/// A value that lies on the stack for a while.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// How many slots of the stack are in use up to it, itself included.
    depth: u32,
    /// The index of the one below it, or [`NONE`].
    below: u32,
}

/// The values of one kind, and which of them is the topmost before each instruction.
#[derive(Debug)]
struct Holding {
    /// Its index, or [`NONE`].
    top_of: Vec<u32>,
    values: Vec<Held>,
}

impl Holding {
    /// The value or, if that is gone at such a depth, the topmost one below that is not.
    fn within(&self, mut index: u32, depth: u32) -> u32 {
        while let Some(candidate) = self.values.get(index as usize).filter(|it| it.depth > depth) {
            index = candidate.below;
        }
        index
    }

    /// The value on top of a stack of such a depth, above the one with that index.
    fn push(&mut self, below: u32, depth: u32) -> u32 {
        if self.values.get(below as usize).is_some_and(|below| below.depth == depth) {
            return below;
        }
        self.values.push(Held { depth, below });
        self.values.len() as u32 - 1
    }
}

/// What the walk finds before each instruction.
#[derive(Debug)]
pub(super) struct Stacks {
    /// The depth, in slots, or [`UNREACHED`].
    pub(super) depths: Vec<u32>,
    /// The iterators of the loops that go on.
    loops: Holding,
    /// The positions that are to be restored when an exception is raised again.
    positions: Holding,
}

impl Stacks {
    /// How many slots of the stack the iterators take, of the loops that go on at instruction `k`, if no more
    /// than `depth` are in use.
    pub(super) fn kept_by_loops(&self, k: usize, depth: u32) -> u32 {
        match self.loops.values.get(self.loops.within(self.loops.top_of[k], depth) as usize) {
            Some(innermost) => innermost.depth,
            None => 0,
        }
    }

    /// The slots of the stack, from its bottom, that hold positions if no more than `depth` are in use behind or
    /// before instruction `k`.
    pub(super) fn positions(&self, k: usize, depth: u32) -> impl Iterator<Item = u32> {
        let top = self.positions.within(self.positions.top_of[k], depth);
        let held = |index: u32| self.positions.values.get(index as usize);
        std::iter::successors(held(top), move |it| held(it.below)).map(|it| it.depth - 1)
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
    let holding = || Holding { top_of: vec![NONE; count], values: Vec::new() };
    let mut stacks = Stacks { depths: vec![UNREACHED; count], loops: holding(), positions: holding() };
    let mut guard_seen = vec![false; guards.len()];
    // Where paths go on, with what depth, in which loop and above which position. Each instruction is walked once,
    // so this stays short.
    let mut paths = vec![(0, 0, NONE, NONE)];
    while let Some((from, mut depth, mut innermost, mut position)) = paths.pop() {
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
            innermost = stacks.loops.within(innermost, depth);
            if matches!(instruction.opcode(), FOR_ITER | GET_ANEXT) {
                innermost = stacks.loops.push(innermost, depth);
            }
            position = stacks.positions.within(position, depth);
            stacks.depths[k] = depth;
            stacks.loops.top_of[k] = innermost;
            stacks.positions.top_of[k] = position;

            if guarded_by[k] != NONE {
                let index = guarded_by[k] as usize;
                let guard = &guards[index];
                if guard.depth > depth {
                    return Err(wrong);
                }
                if !std::mem::replace(&mut guard_seen[index], true) {
                    let handled_in = stacks.loops.within(innermost, guard.depth);
                    let mut restored = stacks.positions.within(position, guard.depth);
                    if guard.lasti {
                        restored = stacks.positions.push(restored, guard.depth + 1);
                    }
                    let depth = guard.depth + 1 + u32::from(guard.lasti);
                    paths.push((guard.handler as usize, depth, handled_in, restored));
                }
            }
            let after = |jumped| {
                let after = i64::from(depth) + instruction.row.effect(instruction.arg, jumped);
                u32::try_from(after).map_err(|_| wrong)
            };
            if instruction.target != NONE {
                paths.push((instruction.target as usize, after(true)?, innermost, position));
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
