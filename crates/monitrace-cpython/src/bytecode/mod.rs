//! Rewriting of 3.11 bytecode: bytes in, bytes out.
//!
//! It finds every place of a code object where an event can be hooked ([`Analysis::places`]) and
//! assembles copies with hooks at the places that are wanted ([`Analysis::assemble`]). It owns the
//! format of 3.11 code, exception tables and line tables, and must never hold a Python object,
//! run Python, panic on any input, or use `unsafe`.
//!
//! # A hook
//!
//! `LOAD_CONST hook; POP_JUMP_FORWARD_IF_TRUE 0`: the constant is a native object whose truth does
//! the work and is always false. The operands of an event (a returned value) stay where they are:
//! [`Place::depth`] says where, because the depth of the stack is known for every instruction. A
//! place is disabled by writing `JUMP_FORWARD skip` over the hook's first unit ([`Hook::skip`]).
//!
//! Where a running frame's stack has no room for the constant, the hook is *tight*: `DELETE_GLOBAL hook;
//! UNARY_INVERT`, with the second for a handler of the first. What the hook raises when it is looked up as a name
//! takes the place of the value on top, and gives it back when it is inverted. It is switched off in the same way.
//!
//! # A gate
//!
//! What an instruction raises reaches no hook behind it. A copy with gates sends every exception, on its way
//! to its handler or out of the frame, through a block: a hook of its own kind and a jump, if the handler finds
//! all it needs on the stack, else `RERAISE 1`, which adds nothing to the traceback and goes on where the
//! gate's own entry of the exception table leads. There is one for each way (handler, from its line or not,
//! raised or raised again, depth). Iterators of loops that go on stay on the stack in a gate and are dropped
//! behind it; if it led out of the frame, a second gate follows then. A gate above which there is no room for
//! three values more is tight, too, and there is one for each instruction: it keeps no position, and goes on by
//! `RERAISE 0`. Gates cost nothing until something is raised.
//!
//! # Where hooks stand
//!
//! CPython 3.12 and later decide while running whether an instruction has another line than the one
//! before. Here the edges of the control flow are sorted instead: what comes from another line
//! enters before the hook, what comes from the same line enters past it, and an exception-table
//! entry counts as the edges from all that it covers. A hook that is reached then always fires.
//!
//! In the same way what jumps from a branch passes a block of hooks in front of its target, and what is
//! handled passes one in front of its handler. Such blocks, and gates, stand between two instructions: what
//! goes on from the first jumps over them.
//!
//! Some pairs of instructions must stay neighbours, because the interpreter looks at the next or
//! the previous unit: `KW_NAMES`, `PRECALL` and `CALL`; `YIELD_VALUE` and `RESUME` (`_PyGen_yf`,
//! Objects/genobject.c). `gen.throw` reads the jump of a `SEND` in the unit in front of `YIELD_VALUE`, so if
//! hooks part the two, a `NOP` with that argument stands there; and it raises in the unit in front of where
//! that leads, which is the jump back or a `NOP` with its position and guard. `LOAD_FAST` directly before
//! a hook would be quickened together with its `LOAD_CONST` (Python/specialize.c), which patching would
//! corrupt: a `NOP` stands between.
//!
//! # The order of work
//!
//! `instruction` decodes the units, `line_table` and `exception_table` their tables, `depth`
//! walks all paths for stack depths, `places` finds the places, `assemble` writes the copy,
//! `units` maps positions between copy and original. [`verify`] checks the results and shares as
//! little as possible with the rest. [`opcodes`] is the one table of opcodes.
//!
//! With no hook at all the copy is the original, byte for byte, for all that the compiler makes.

#![forbid(unsafe_code)]

mod assemble;
mod depth;
mod error;
mod exception_table;
mod instruction;
pub(crate) mod line_table;
#[cfg(test)]
mod listing;
pub mod opcodes;
mod places;
mod units;
mod verify;

pub use assemble::{Gate, Hook, Landing, Origin, Plan, Rewritten};
pub use error::RewriteError;
pub use instruction::raising_unit;
pub use places::{Analysis, Operands, Place, RAISING, Side};
pub use units::{Next, UnitMap};
pub use verify::{verify, verify_with_landing};

/// The pieces of a 3.11 code object that rewriting needs.
#[derive(Debug, Clone, Copy)]
pub struct CodeBytes<'a> {
    /// `co_code`: no specialised opcodes, empty inline caches.
    pub code: &'a [u8],
    /// `co_exceptiontable`.
    pub exception_table: &'a [u8],
    /// `co_linetable`.
    pub line_table: &'a [u8],
    /// `co_firstlineno`.
    pub first_line: i32,
    /// `co_stacksize`, in slots.
    pub stack_size: u32,
    /// The length of `co_consts`; hooks are numbered from here.
    pub const_count: u32,
    /// The length of `co_names`.
    pub name_count: u32,
    /// Whether `co_flags` has `CO_GENERATOR`, `CO_COROUTINE` or `CO_ASYNC_GENERATOR`.
    pub is_generator: bool,
}
