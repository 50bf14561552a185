//! What a rule file is compiled to: a tree that knows where its parts stand in the source.
//!
//! It owns the shape of the tree, and knows neither Python nor the parser.

/// A place in a function, as monitoring tells it: where code-likes have units of two bytes, each part of a
/// function that can be told of has a unit, and this is the number of its first byte.
pub(crate) type Offset = u32;

/// The bytes of a unit.
pub(crate) const UNIT: Offset = 2;

/// Where a unit stands in the source. Lines count from 1; columns from 0, in bytes of UTF-8.
#[derive(Clone, Copy)]
pub(crate) struct Position {
    pub(crate) line: u32,
    pub(crate) end_line: u32,
    pub(crate) column: u32,
    pub(crate) end_column: u32,
}

/// A rule file.
pub(crate) struct File {
    /// The file's own code, then the functions that it defines.
    pub(crate) functions: Vec<Function>,
    /// Literals and the names of globals.
    pub(crate) constants: Vec<Constant>,
}

pub(crate) enum Constant {
    None,
    Bool(bool),
    Int(i64),
    /// One that is larger, as it is written.
    LargeInt(String),
    Float(f64),
    String(String),
}

pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) first_line: u32,
    /// How many of the locals are parameters: the first ones.
    pub(crate) parameters: usize,
    pub(crate) locals: Vec<String>,
    pub(crate) body: Block,
    /// Of each unit: the first is the way in, the last, which stands nowhere, the way out.
    pub(crate) positions: Vec<Option<Position>>,
    pub(crate) branches: Vec<Branch>,
}

/// Where the flow of control divides, where it goes if the test is true (or there is a next item), and
/// where if not.
pub(crate) struct Branch {
    pub(crate) at: Offset,
    pub(crate) left: Offset,
    pub(crate) right: Offset,
}

pub(crate) type Block = Vec<Statement>;

/// Where something stands that begins a line.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    pub(crate) offset: Offset,
    pub(crate) line: u32,
}

pub(crate) struct Statement {
    pub(crate) start: Start,
    pub(crate) kind: StatementKind,
}

pub(crate) enum StatementKind {
    Pass,
    Break,
    Continue,
    Return(Option<Expression>),
    Expression(Expression),
    Assign { targets: Vec<Target>, value: Expression },
    Augment { target: Target, operator: Operator, value: Expression },
    If { arms: Vec<Arm>, otherwise: Block },
    While { branch: usize, test: Expression, body: Block, otherwise: Block },
    For { branch: usize, target: Target, iterable: Expression, body: Block, otherwise: Block },
    Raise { error: Option<Expression>, cause: Option<Expression> },
    Try(Try),
    Define { name: Name, function: usize },
}

/// `if` or `elif`.
pub(crate) struct Arm {
    pub(crate) start: Start,
    /// Its number in the function's table.
    pub(crate) branch: usize,
    pub(crate) test: Expression,
    pub(crate) body: Block,
}

pub(crate) struct Try {
    pub(crate) body: Block,
    pub(crate) handlers: Vec<Handler>,
    pub(crate) otherwise: Block,
    pub(crate) finally: Block,
}

/// `except`.
pub(crate) struct Handler {
    pub(crate) start: Start,
    pub(crate) types: Option<Expression>,
    pub(crate) name: Option<Name>,
    pub(crate) body: Block,
}

/// What a name stands for: a local, by its number, or a global, whose name is a constant.
#[derive(Clone, Copy)]
pub(crate) enum Name {
    Local(usize),
    Global(usize),
}

pub(crate) struct Target {
    pub(crate) offset: Offset,
    pub(crate) kind: TargetKind,
}

pub(crate) enum TargetKind {
    Name(Name),
    Item { container: Expression, key: Expression },
    Unpack(Vec<Target>),
}

pub(crate) struct Expression {
    pub(crate) offset: Offset,
    pub(crate) kind: ExpressionKind,
}

pub(crate) enum ExpressionKind {
    Constant(usize),
    Name(Name),
    Tuple(Vec<Expression>),
    List(Vec<Expression>),
    Dict(Vec<(Expression, Expression)>),
    Slice(Box<[Option<Expression>; 3]>),
    Item { container: Box<Expression>, key: Box<Expression> },
    Not(Box<Expression>),
    Negative(Box<Expression>),
    Positive(Box<Expression>),
    Arithmetic { operator: Operator, left: Box<Expression>, right: Box<Expression> },
    Compare { first: Box<Expression>, rest: Vec<(Comparison, Expression)> },
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Conditional { test: Box<Expression>, then: Box<Expression>, otherwise: Box<Expression> },
    Call { callable: Box<Expression>, arguments: Vec<Expression> },
}

#[derive(Clone, Copy)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
}

#[derive(Clone, Copy)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Is,
    IsNot,
    In,
    NotIn,
}
