//! What each opcode of 3.11 does to the stack and where it goes. It owns all numbers of opcodes;
//! the rows in `opcode_table.rs` are generated from the interpreter's own `opcode` and `dis`
//! modules, and a test compares them with it.

#[path = "opcode_table.rs"]
mod table;

pub use table::TABLE;

/// Which way an opcode can jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jump {
    /// It does not.
    No,
    /// By its argument, in units, from behind its inline caches.
    Forward,
    /// The same, backwards.
    Backward,
}

/// What the argument means, as far as rewriting cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// An index into `co_consts`.
    Const,
    /// An index into `co_names`; `LOAD_GLOBAL` uses the lowest bit for something else.
    Name,
    /// Anything else, or nothing.
    Other,
}

/// By how much the stack grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// By this much when it goes on, and by this much when it jumps.
    Fixed(i8, i8),
    /// It depends on the argument.
    ByArgument,
}

/// One opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub number: u8,
    /// Its name in `opcode.opmap`.
    pub name: &'static str,
    /// How many inline cache units follow it.
    pub caches: u8,
    /// Which way it can jump.
    pub jump: Jump,
    /// What its argument means.
    pub argument: Argument,
    /// What `dis.stack_effect` says; [`Row::effect`] is what really happens.
    pub documented: Effect,
}

const fn row(
    number: u8,
    name: &'static str,
    caches: u8,
    jump: Jump,
    argument: Argument,
    documented: Effect,
) -> Row {
    Row { number, name, caches, jump, argument, documented }
}

const ABSENT: u8 = u8::MAX;

/// From an opcode to its row in [`TABLE`].
static ROWS: [u8; 256] = {
    let mut rows = [ABSENT; 256];
    let mut i = 0;
    while i < TABLE.len() {
        rows[TABLE[i].number as usize] = i as u8;
        i += 1;
    }
    rows
};

/// The opcode's row; `None` if 3.11's compiler has no such opcode.
pub fn facts(opcode: u8) -> Option<&'static Row> {
    TABLE.get(ROWS[opcode as usize] as usize)
}

/// The number of the opcode with this name, when compiling.
pub(super) const fn number(name: &str) -> u8 {
    let mut i = 0;
    while i < TABLE.len() {
        if same(TABLE[i].name.as_bytes(), name.as_bytes()) {
            return TABLE[i].number;
        }
        i += 1;
    }
    panic!("no such opcode")
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

macro_rules! numbers {
    ($($name:ident)*) => {
        $(pub(crate) const $name: u8 = number(stringify!($name));)*
    };
}

numbers! {
    BEFORE_ASYNC_WITH BEFORE_WITH BUILD_CONST_KEY_MAP BUILD_LIST BUILD_MAP BUILD_SET BUILD_SLICE BUILD_STRING
    BUILD_TUPLE CACHE CALL CALL_FUNCTION_EX CHECK_EG_MATCH COPY_FREE_VARS DELETE_ATTR DELETE_DEREF DELETE_FAST
    DELETE_GLOBAL DELETE_NAME DELETE_SUBSCR DICT_MERGE DICT_UPDATE END_ASYNC_FOR EXTENDED_ARG FORMAT_VALUE
    FOR_ITER GET_ANEXT IMPORT_STAR JUMP_BACKWARD JUMP_BACKWARD_NO_INTERRUPT JUMP_FORWARD JUMP_IF_FALSE_OR_POP
    JUMP_IF_TRUE_OR_POP KW_NAMES LIST_APPEND LIST_EXTEND LOAD_CONST LOAD_FAST LOAD_GLOBAL LOAD_METHOD
    MAKE_CELL MAKE_FUNCTION MAP_ADD NOP POP_EXCEPT POP_JUMP_BACKWARD_IF_FALSE POP_JUMP_BACKWARD_IF_NONE
    POP_JUMP_BACKWARD_IF_NOT_NONE POP_JUMP_BACKWARD_IF_TRUE POP_JUMP_FORWARD_IF_FALSE POP_JUMP_FORWARD_IF_NONE
    POP_JUMP_FORWARD_IF_NOT_NONE POP_JUMP_FORWARD_IF_TRUE POP_TOP PRECALL PRINT_EXPR PUSH_EXC_INFO
    PUSH_NULL RAISE_VARARGS RERAISE RESUME RETURN_GENERATOR RETURN_VALUE SEND SETUP_ANNOTATIONS SET_ADD SET_UPDATE
    STORE_ATTR STORE_DEREF STORE_FAST STORE_GLOBAL STORE_NAME STORE_SUBSCR SWAP UNARY_INVERT UNPACK_EX UNPACK_SEQUENCE
    YIELD_VALUE
}

impl Row {
    /// By how much the stack grows when the instruction goes on or, with `jumped`, when it jumps.
    ///
    /// It differs from `dis.stack_effect` in three opcodes: `CALL` takes what `PRECALL` leaves in
    /// place, and the first `send` puts its value on the stack behind `RETURN_GENERATOR`.
    pub fn effect(&self, arg: u32, jumped: bool) -> i64 {
        match self.number {
            PRECALL => 0,
            CALL => -1 - i64::from(arg),
            RETURN_GENERATOR => 1,
            _ => self.documented_effect(arg, jumped),
        }
    }

    /// `dis.stack_effect(number, arg, jump=jumped)`.
    pub fn documented_effect(&self, arg: u32, jumped: bool) -> i64 {
        let n = i64::from(arg);
        match self.documented {
            Effect::Fixed(_, effect) if jumped => effect.into(),
            Effect::Fixed(effect, _) => effect.into(),
            Effect::ByArgument => match self.number {
                UNPACK_SEQUENCE => n - 1,
                UNPACK_EX => (n & 0xff) + (n >> 8),
                BUILD_TUPLE | BUILD_LIST | BUILD_SET | BUILD_STRING => 1 - n,
                BUILD_MAP => 1 - 2 * n,
                BUILD_CONST_KEY_MAP | RAISE_VARARGS | PRECALL => -n,
                LOAD_GLOBAL => (n & 1) + 1,
                CALL_FUNCTION_EX => -2 - (n & 1),
                MAKE_FUNCTION => -i64::from((n & 0xf).count_ones()),
                BUILD_SLICE => -1 - i64::from(n == 3),
                FORMAT_VALUE => -i64::from(n & 4 != 0),
                _ => unreachable!("the table's test finds every opcode whose effect depends on its argument"),
            },
        }
    }

    /// How many slots it may have taken from the stack when it raises; those below are as they were.
    pub fn takes(&self, arg: u32) -> u32 {
        let gives = match self.number {
            // It takes its iterator only when that is at its end.
            FOR_ITER => return 0,
            LOAD_METHOD | BEFORE_WITH | BEFORE_ASYNC_WITH | PUSH_EXC_INFO | CHECK_EG_MATCH | SEND => 2,
            UNPACK_SEQUENCE => i64::from(arg),
            UNPACK_EX => i64::from((arg & 0xff) + 1 + (arg >> 8)),
            PRECALL => i64::from(arg) + 2,
            CACHE
            | EXTENDED_ARG
            | SWAP
            | NOP
            | RESUME
            | KW_NAMES
            | MAKE_CELL
            | COPY_FREE_VARS
            | SETUP_ANNOTATIONS
            | JUMP_FORWARD
            | JUMP_BACKWARD
            | JUMP_BACKWARD_NO_INTERRUPT
            | DELETE_NAME
            | DELETE_GLOBAL
            | DELETE_FAST
            | DELETE_DEREF
            | POP_TOP
            | PRINT_EXPR
            | IMPORT_STAR
            | POP_EXCEPT
            | RETURN_VALUE
            | DELETE_ATTR
            | STORE_NAME
            | STORE_GLOBAL
            | STORE_FAST
            | STORE_DEREF
            | DELETE_SUBSCR
            | STORE_ATTR
            | END_ASYNC_FOR
            | STORE_SUBSCR
            | LIST_APPEND
            | SET_ADD
            | LIST_EXTEND
            | SET_UPDATE
            | DICT_UPDATE
            | DICT_MERGE
            | MAP_ADD
            | RAISE_VARARGS
            | RERAISE => 0,
            _ if self.is_branch() => 0,
            _ => 1,
        };
        u32::try_from(gives - self.effect(arg, false)).unwrap_or(0)
    }

    /// Whether it goes one way or the other, as `BRANCH_LEFT` and `BRANCH_RIGHT` tell.
    pub fn is_branch(&self) -> bool {
        matches!(
            self.number,
            FOR_ITER
                | JUMP_IF_FALSE_OR_POP
                | JUMP_IF_TRUE_OR_POP
                | POP_JUMP_BACKWARD_IF_FALSE
                | POP_JUMP_BACKWARD_IF_NONE
                | POP_JUMP_BACKWARD_IF_NOT_NONE
                | POP_JUMP_BACKWARD_IF_TRUE
                | POP_JUMP_FORWARD_IF_FALSE
                | POP_JUMP_FORWARD_IF_NONE
                | POP_JUMP_FORWARD_IF_NOT_NONE
                | POP_JUMP_FORWARD_IF_TRUE
        )
    }

    /// Whether the next instruction is reached without a jump.
    pub fn goes_on(&self) -> bool {
        !matches!(
            self.number,
            RETURN_VALUE
                | RAISE_VARARGS
                | RERAISE
                | JUMP_FORWARD
                | JUMP_BACKWARD
                | JUMP_BACKWARD_NO_INTERRUPT
        )
    }
}
