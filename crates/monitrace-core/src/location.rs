//! Where an event happens. Positions carry their unit in their type, because bytes and code units
//! are the confusion that this field most invites.

/// A host's opaque key for a code object. Not reused while anything holds state under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CodeId(pub usize);

/// A position in a code object, in bytes from its first instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ByteOffset(pub u32);

/// A position in a code object, in code units (two bytes each on CPython 3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct UnitIndex(pub u32);

impl From<UnitIndex> for ByteOffset {
    fn from(unit: UnitIndex) -> ByteOffset {
        ByteOffset(unit.0 * 2)
    }
}

/// One place in one code object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Location {
    /// The code object.
    pub code: CodeId,
    /// The instruction in it.
    pub offset: ByteOffset,
}
