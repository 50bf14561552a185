//! Why a code object is not rewritten. It owns the refusals and must never hold input.

use monitrace_core::UnitIndex;

/// A refusal to rewrite. The compiler's own code is never refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RewriteError {
    /// The code is not a whole number of units, or has too many for 32-bit positions.
    #[error("the code has an impossible length")]
    Length,
    /// An opcode that 3.11 does not have, or a specialised one.
    #[error("unit {} is no instruction of 3.11", .0.0)]
    Opcode(UnitIndex),
    /// An instruction that ends behind the code, or whose argument has more than four bytes.
    #[error("the instruction at unit {} is malformed", .0.0)]
    Malformed(UnitIndex),
    /// A jump to something other than the start of an instruction.
    #[error("the jump at unit {} leads nowhere", .0.0)]
    Jump(UnitIndex),
    /// A path runs over the end of the code.
    #[error("the code runs over its end")]
    NoReturn,
    /// The stack underflows, overflows, or has two depths at one instruction.
    #[error("the stack is wrong at unit {}", .0.0)]
    Stack(UnitIndex),
    /// Instructions that belong together are apart, or a constant or name is missing.
    #[error("the instruction at unit {} is out of place", .0.0)]
    Context(UnitIndex),
    /// The exception table is malformed, overlaps itself or points between instructions.
    #[error("the exception table is malformed")]
    ExceptionTable,
    /// The line table is malformed.
    #[error("the line table is malformed")]
    LineTable,
    /// The jump of a `SEND` would need more than one byte, which `gen.throw` does not read.
    #[error("the SEND at unit {} cannot reach its target", .0.0)]
    Send(UnitIndex),
    /// No running frame can enter there: not an instruction, or not enough stack.
    #[error("a running frame cannot enter at unit {}", .0.0)]
    Landing(UnitIndex),
}
