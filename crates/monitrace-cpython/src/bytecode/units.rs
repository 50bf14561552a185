//! Positions in a copy and in its original. It owns the mapping, both ways, and must never know
//! what an instruction does.

use monitrace_core::UnitIndex;

/// The line of an instruction behind which the function begins: no other line equals it.
pub(super) const START: i32 = -2;

/// One instruction of the original, and where it went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved {
    /// Its first unit in the original.
    pub(super) original: u32,
    /// Its line, -1 for none, or [`START`].
    pub(super) line: i32,
    /// The first unit in the copy that belongs to it.
    pub(super) first: u32,
    /// Where it is entered from another line.
    pub(super) enter: u32,
    /// Where it is entered from its own line.
    pub(super) past: u32,
    /// Where it begins, behind the hooks before it.
    pub(super) own: u32,
    /// Its last unit, inline caches included, hooks behind it not.
    pub(super) last: u32,
}

/// Units that are no instruction of the original: those of one hook, gate, edge or landing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    /// Its first unit in the copy.
    pub(super) start: u32,
    /// The unit behind its last.
    pub(super) end: u32,
    /// The unit of the original that it stands for.
    pub(super) stands_for: u32,
    /// What a frame that is about to run its first unit runs next.
    pub(super) next: Next,
}

/// What a frame runs next, in units of the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This instruction, with what hooks it has in any copy.
    Instruction(UnitIndex),
    /// This instruction, whose hooks have run.
    Own(UnitIndex),
    /// What follows this instruction when it goes on.
    Behind(UnitIndex),
    /// The hooks on the way from one instruction to another, where that jumps.
    Way {
        /// What jumps.
        from: UnitIndex,
        /// Where it leads.
        to: UnitIndex,
    },
    /// Something that no other copy has to have: a gate, the middle of a hook, a landing.
    Elsewhere,
}

/// Maps the units of a copy to those of its original, and back, in logarithmic time.
#[derive(Debug, Clone)]
pub struct UnitMap {
    /// In order: `original` and `first` grow together.
    pub(super) moved: Box<[Moved]>,
    /// How many units the original has.
    pub(super) original_length: u32,
    /// In order.
    pub(super) blocks: Box<[Block]>,
}

impl UnitMap {
    /// For `f_lasti` and `tb_lasti`: the unit of the original that a unit of the copy stands for.
    ///
    /// Opcodes and inline caches keep their distance from the end of their instruction; units of a
    /// hook stand for its place, those of a gate for its handler, those of a landing for the instruction
    /// that the frame has left or enters.
    pub fn original_unit(&self, copy: UnitIndex) -> UnitIndex {
        let k = self.owner(copy);
        let Some(moved) = self.moved.get(k) else {
            return UnitIndex(0);
        };
        let is_own = (moved.own..=moved.last).contains(&copy.0);
        if let Some(block) = if is_own { None } else { self.block(copy) } {
            return UnitIndex(block.stands_for);
        }
        // A copy's instruction is never shorter than the original, so what stands before it clamps.
        UnitIndex((self.end(k) - 1).saturating_sub(moved.last.saturating_sub(copy.0)).max(moved.original))
    }

    /// What a frame that is about to run a unit of the copy runs next.
    pub fn next(&self, copy: UnitIndex) -> Next {
        if let Some(block) = self.block(copy) {
            return if copy.0 == block.start { block.next } else { Next::Elsewhere };
        }
        match self.moved.get(self.owner(copy)) {
            None => Next::Elsewhere,
            Some(moved) => {
                let unit = UnitIndex(moved.original);
                let has_passed_hooks = moved.past < moved.own && moved.own <= copy.0;
                if has_passed_hooks { Next::Own(unit) } else { Next::Instruction(unit) }
            }
        }
    }

    /// Whether a unit of the copy is part of no instruction of the original.
    pub fn is_added(&self, copy: UnitIndex) -> bool {
        self.block(copy).is_some()
    }

    /// The block that a unit of the copy is in.
    fn block(&self, copy: UnitIndex) -> Option<&Block> {
        let behind = self.blocks.partition_point(|block| block.start <= copy.0);
        self.blocks[..behind].last().filter(|block| copy.0 < block.end)
    }

    /// The index of the instruction that a unit of the copy belongs to.
    fn owner(&self, copy: UnitIndex) -> usize {
        self.moved.partition_point(|moved| moved.first <= copy.0).saturating_sub(1)
    }

    /// The other way round: the unit of the copy that stands for this very unit of the original.
    ///
    /// `None` if the original has no such unit.
    pub fn copy_unit(&self, original: UnitIndex) -> Option<UnitIndex> {
        let k = self.index_of(original)?;
        let from_last = self.end(k) - 1 - original.0;
        Some(UnitIndex(self.moved[k].last - from_last))
    }

    /// For a waiting frame: the copy's last unit of the instruction that contains `original`. What
    /// follows is what follows that instruction when it goes on, hooks included.
    ///
    /// `None` if the original has no such unit.
    pub fn resume_after(&self, original: UnitIndex) -> Option<UnitIndex> {
        Some(UnitIndex(self.containing(original)?.last))
    }

    /// The unit of the copy at which the instruction that contains `original` is entered when the
    /// instruction before was the one that contains `from`: before its `LINE` hook if the lines
    /// differ, else past it.
    ///
    /// `None` if the original has no such unit.
    pub fn enter_at(&self, original: UnitIndex, from: UnitIndex) -> Option<UnitIndex> {
        let (to, from) = (self.containing(original)?, self.containing(from)?);
        Some(UnitIndex(if to.line != from.line { to.enter } else { to.past }))
    }

    /// The unit of the copy at which the instruction that contains `original` is entered from another line.
    ///
    /// `None` if the original has no such unit.
    pub fn enter_from_elsewhere(&self, original: UnitIndex) -> Option<UnitIndex> {
        Some(UnitIndex(self.containing(original)?.enter))
    }

    fn containing(&self, original: UnitIndex) -> Option<&Moved> {
        self.moved.get(self.index_of(original)?)
    }

    /// Which instruction contains a unit of the original.
    fn index_of(&self, original: UnitIndex) -> Option<usize> {
        if original.0 >= self.original_length {
            return None;
        }
        self.moved.partition_point(|moved| moved.original <= original.0).checked_sub(1)
    }

    /// The unit of the original behind instruction `k`.
    fn end(&self, k: usize) -> u32 {
        self.moved.get(k + 1).map_or(self.original_length, |next| next.original)
    }
}
