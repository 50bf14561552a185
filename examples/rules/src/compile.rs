//! From the parser's tree to ours.
//!
//! It owns the language: what of Python is part of it, which names are locals, and which places and
//! branches monitoring can be told of.

use crate::parse::Mistake;
use crate::tree::{
    Arm, Block, Branch, Comparison, Constant, Expression, ExpressionKind, File, Function, Handler, Name,
    Offset, Operator, Position, Start, Statement, StatementKind, Target, TargetKind, Try, UNIT,
};
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    self as ast, BoolOp, CmpOp, ExceptHandler, Expr, ExprContext, ModModule, Number, Stmt, UnaryOp,
};
use ruff_source_file::{LineIndex, PositionEncoding};
use ruff_text_size::{Ranged, TextRange};

type Result<T> = std::result::Result<T, Mistake>;

/// How deep blocks and expressions may be nested, so that those who walk the tree need little stack.
const NESTING: u32 = 100;

/// Compiles a file.
///
/// # Errors
/// What is not part of the language.
pub(crate) fn compile(module: &ModModule, text: &str, lines: &LineIndex) -> Result<File> {
    let mut file = File { functions: Vec::new(), constants: Vec::new() };
    let source = Source { text, lines };
    let start = TextRange::empty(0.into());
    FunctionCompiler::new(source, &mut file, "<module>", start, None).compile(&module.body)?;
    Ok(file)
}

#[derive(Clone, Copy)]
struct Source<'a> {
    text: &'a str,
    lines: &'a LineIndex,
}

impl Source<'_> {
    fn position(&self, range: TextRange) -> Position {
        let at = |offset| {
            let location = self.lines.source_location(offset, self.text, PositionEncoding::Utf8);
            (number(location.line.get()), number(location.character_offset.to_zero_indexed()))
        };
        let ((line, column), (end_line, end_column)) = (at(range.start()), at(range.end()));
        Position { line, end_line, column, end_column }
    }
}

/// Files are small enough for all numbers of theirs.
fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn mistake<T>(at: impl Ranged, words: impl Into<String>) -> Result<T> {
    Err(Mistake { words: words.into(), range: at.range() })
}

fn no_part<T>(at: impl Ranged, what: &str) -> Result<T> {
    mistake(at, format!("{what} no part of the rules' language"))
}

/// A place that may not be known yet: where a branch goes.
#[derive(Clone, Copy)]
struct Label(usize);

struct FunctionCompiler<'a> {
    source: Source<'a>,
    file: &'a mut File,
    /// Its number in the file.
    index: usize,
    function: Function,
    is_module: bool,
    labels: Vec<Option<Offset>>,
    branches: Vec<(Offset, Label, Label)>,
    nesting: u32,
    loops: u32,
}

impl<'a> FunctionCompiler<'a> {
    /// `locals` are the parameters, or `None` for a file's own code.
    fn new(
        source: Source<'a>,
        file: &'a mut File,
        name: &str,
        start: TextRange,
        locals: Option<Vec<String>>,
    ) -> FunctionCompiler<'a> {
        let position = source.position(start);
        let function = |name: &str, locals: Vec<String>| Function {
            name: name.to_owned(),
            first_line: position.line,
            parameters: locals.len(),
            locals,
            body: Block::new(),
            positions: vec![Some(position)],
            branches: Vec::new(),
        };
        // Its place is taken now: functions inside come after it.
        let index = file.functions.len();
        file.functions.push(function(name, Vec::new()));
        FunctionCompiler {
            source,
            file,
            index,
            is_module: locals.is_none(),
            function: function(name, locals.unwrap_or_default()),
            labels: Vec::new(),
            branches: Vec::new(),
            nesting: 0,
            loops: 0,
        }
    }

    fn compile(mut self, body: &[Stmt]) -> Result<usize> {
        if !self.is_module {
            Assigned(&mut self.function.locals).visit_body(body);
        }
        let (start, exit) = (self.label(), self.label());
        self.function.body = self.block(without_docstring(body), start, exit)?;
        let end = self.offset(None);
        self.bind(exit, end);
        // Every block that has a label for its start has a statement that binds it.
        let place = |label: Label| self.labels[label.0].unwrap_or(end);
        let branches = self.branches.iter();
        self.function.branches = branches
            .map(|&(at, left, right)| Branch { at, left: place(left), right: place(right) })
            .collect();
        self.file.functions[self.index] = self.function;
        Ok(self.index)
    }

    fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    fn bind(&mut self, label: Label, offset: Offset) {
        self.labels[label.0] = Some(offset);
    }

    /// A new unit.
    fn offset(&mut self, range: Option<TextRange>) -> Offset {
        let position = range.map(|range| self.source.position(range));
        self.function.positions.push(position);
        number(self.function.positions.len() - 1) * UNIT
    }

    fn start(&mut self, range: TextRange) -> Start {
        let offset = self.offset(Some(range));
        Start { offset, line: self.source.position(range).line }
    }

    fn branch(&mut self, at: Offset, left: Label, right: Label) -> usize {
        self.branches.push((at, left, right));
        self.branches.len() - 1
    }

    fn constant(&mut self, constant: Constant) -> usize {
        self.file.constants.push(constant);
        self.file.constants.len() - 1
    }

    fn name(&mut self, name: &str) -> Name {
        match self.function.locals.iter().position(|local| local == name) {
            Some(local) => Name::Local(local),
            None => Name::Global(self.constant(Constant::String(name.to_owned()))),
        }
    }

    fn deeper<T>(&mut self, at: impl Ranged, compile: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.nesting == NESTING {
            return mistake(at, format!("this is nested more than {NESTING} levels deep"));
        }
        self.nesting += 1;
        let compiled = compile(self);
        self.nesting -= 1;
        compiled
    }

    /// A block that begins at the label `start` and, if nothing leaves it, goes on at `next`.
    fn block(&mut self, body: &[Stmt], start: Label, next: Label) -> Result<Block> {
        let mut block = Block::with_capacity(body.len());
        let mut start = start;
        for (index, statement) in body.iter().enumerate() {
            let after = if index + 1 < body.len() { self.label() } else { next };
            let compiled = self.deeper(statement, |this| this.statement(statement, start, after))?;
            block.push(compiled);
            start = after;
        }
        Ok(block)
    }

    /// A loop's body.
    fn looped(&mut self, body: &[Stmt], start: Label, next: Label) -> Result<Block> {
        self.loops += 1;
        let block = self.block(body, start, next);
        self.loops -= 1;
        block
    }

    fn statement(&mut self, statement: &Stmt, label: Label, next: Label) -> Result<Statement> {
        // What is told of a statement that has blocks is its head.
        let head = match statement {
            Stmt::If(it) => it.test.range(),
            Stmt::While(it) => it.test.range(),
            Stmt::For(it) => it.iter.range(),
            Stmt::FunctionDef(it) => it.name.range(),
            Stmt::Try(it) => TextRange::at(it.start(), "try".len().try_into().unwrap_or_default()),
            other => other.range(),
        };
        let start = self.start(TextRange::new(statement.start(), head.end()));
        self.bind(label, start.offset);
        let kind = match statement {
            Stmt::Pass(_) => StatementKind::Pass,
            Stmt::Expr(it) => StatementKind::Expression(self.expression(&it.value)?),
            Stmt::Assign(it) => StatementKind::Assign {
                targets: it.targets.iter().map(|target| self.target(target)).collect::<Result<_>>()?,
                value: self.expression(&it.value)?,
            },
            Stmt::AugAssign(it) => StatementKind::Augment {
                target: self.target(&it.target)?,
                operator: operator(it.op, it)?,
                value: self.expression(&it.value)?,
            },
            Stmt::Return(it) => {
                if self.is_module {
                    return mistake(it, "'return' outside function");
                }
                StatementKind::Return(self.optional(it.value.as_deref())?)
            }
            Stmt::Break(it) if self.loops == 0 => return mistake(it, "'break' outside loop"),
            Stmt::Break(_) => StatementKind::Break,
            Stmt::Continue(it) if self.loops == 0 => return mistake(it, "'continue' not in loop"),
            Stmt::Continue(_) => StatementKind::Continue,
            Stmt::Raise(it) => StatementKind::Raise {
                error: self.optional(it.exc.as_deref())?,
                cause: self.optional(it.cause.as_deref())?,
            },
            Stmt::If(it) => self.if_statement(it, start, next)?,
            Stmt::While(it) => {
                let (body, otherwise) = (self.label(), self.label_of(&it.orelse, next));
                StatementKind::While {
                    branch: self.branch(start.offset, body, otherwise),
                    test: self.expression(&it.test)?,
                    body: self.looped(&it.body, body, label)?,
                    otherwise: self.block(&it.orelse, otherwise, next)?,
                }
            }
            Stmt::For(it) if it.is_async => return no_part(it, "'async' is"),
            Stmt::For(it) => {
                let (body, otherwise) = (self.label(), self.label_of(&it.orelse, next));
                StatementKind::For {
                    branch: self.branch(start.offset, body, otherwise),
                    target: self.target(&it.target)?,
                    iterable: self.expression(&it.iter)?,
                    body: self.looped(&it.body, body, label)?,
                    otherwise: self.block(&it.orelse, otherwise, next)?,
                }
            }
            Stmt::Try(it) => StatementKind::Try(self.try_statement(it, next)?),
            Stmt::FunctionDef(it) => self.definition(it)?,
            other => return no_part(other, statement_words(other)),
        };
        Ok(Statement { start, kind })
    }

    /// Where a block begins that may be empty.
    fn label_of(&mut self, body: &[Stmt], next: Label) -> Label {
        if body.is_empty() { next } else { self.label() }
    }

    fn if_statement(&mut self, it: &ast::StmtIf, start: Start, next: Label) -> Result<StatementKind> {
        let mut arms = Vec::new();
        let mut otherwise = Block::new();
        let mut clauses = it.elif_else_clauses.iter().peekable();
        let (mut start, mut test, mut body) = (start, &*it.test, &it.body);
        loop {
            let (then, other) = (self.label(), clauses.peek().map_or(next, |_| self.label()));
            let branch = self.branch(start.offset, then, other);
            let test_compiled = self.expression(test)?;
            let body_compiled = self.block(body, then, next)?;
            arms.push(Arm { start, branch, test: test_compiled, body: body_compiled });
            let Some(clause) = clauses.next() else { break };
            let Some(next_test) = &clause.test else {
                otherwise = self.block(&clause.body, other, next)?;
                break;
            };
            start = self.start(TextRange::new(clause.start(), next_test.end()));
            self.bind(other, start.offset);
            (test, body) = (next_test, &clause.body);
        }
        Ok(StatementKind::If { arms, otherwise })
    }

    fn try_statement(&mut self, it: &ast::StmtTry, next: Label) -> Result<Try> {
        if it.is_star {
            return no_part(it, "'except*' is");
        }
        let finally = self.label_of(&it.finalbody, next);
        let otherwise = self.label_of(&it.orelse, finally);
        let start = self.label();
        Ok(Try {
            body: self.block(&it.body, start, otherwise)?,
            handlers: it
                .handlers
                .iter()
                .map(|handler| self.handler(handler, finally))
                .collect::<Result<_>>()?,
            otherwise: self.block(&it.orelse, otherwise, finally)?,
            finally: self.block(&it.finalbody, finally, next)?,
        })
    }

    fn handler(&mut self, handler: &ExceptHandler, next: Label) -> Result<Handler> {
        let ExceptHandler::ExceptHandler(it) = handler;
        let head = it.type_.as_ref().map_or_else(
            || TextRange::at(it.start(), "except".len().try_into().unwrap_or_default()),
            |types| TextRange::new(it.start(), types.end()),
        );
        let start = self.start(head);
        let label = self.label();
        Ok(Handler {
            start,
            types: self.optional(it.type_.as_deref())?,
            name: it.name.as_ref().map(|name| self.name(name)),
            body: self.block(&it.body, label, next)?,
        })
    }

    fn definition(&mut self, it: &ast::StmtFunctionDef) -> Result<StatementKind> {
        if !self.is_module {
            return no_part(it, "a function in a function is");
        }
        if it.is_async {
            return no_part(it, "'async' is");
        }
        if let Some(decorator) = it.decorator_list.first() {
            return no_part(decorator, "a decorator is");
        }
        if let Some(types) = &it.type_params {
            return no_part(&**types, "a type parameter is");
        }
        if let Some(annotation) = &it.returns {
            return no_part(&**annotation, "an annotation is");
        }
        let mut parameters: Vec<String> = Vec::new();
        for parameter in &*it.parameters {
            let name = parameter.name().as_str();
            if parameter.is_variadic() {
                return no_part(parameter, "a parameter with '*' is");
            }
            if let Some(annotation) = parameter.annotation() {
                return no_part(annotation, "an annotation is");
            }
            if let Some(default) = parameter.default() {
                return no_part(default, "a default is");
            }
            if parameters.iter().any(|known| known == name) {
                return mistake(parameter, format!("duplicate parameter '{name}' in function definition"));
            }
            parameters.push(name.to_owned());
        }
        if let Some(parameter) = it.parameters.kwonlyargs.first() {
            return no_part(parameter, "a parameter with '*' is");
        }
        let name = self.name(&it.name);
        let compiler = FunctionCompiler::new(self.source, self.file, &it.name, it.range(), Some(parameters));
        Ok(StatementKind::Define { name, function: compiler.compile(&it.body)? })
    }

    fn target(&mut self, target: &Expr) -> Result<Target> {
        self.deeper(target, |this| {
            let offset = this.offset(Some(target.range()));
            let kind = match target {
                Expr::Name(it) => TargetKind::Name(this.name(&it.id)),
                Expr::Subscript(it) => TargetKind::Item {
                    container: this.expression(&it.value)?,
                    key: this.expression(&it.slice)?,
                },
                Expr::Tuple(ast::ExprTuple { elts, .. }) | Expr::List(ast::ExprList { elts, .. }) => {
                    TargetKind::Unpack(elts.iter().map(|target| this.target(target)).collect::<Result<_>>()?)
                }
                other => return no_part(other, expression_words(other)),
            };
            Ok(Target { offset, kind })
        })
    }

    fn optional(&mut self, expression: Option<&Expr>) -> Result<Option<Expression>> {
        expression.map(|expression| self.expression(expression)).transpose()
    }

    fn boxed(&mut self, expression: &Expr) -> Result<Box<Expression>> {
        self.expression(expression).map(Box::new)
    }

    fn expressions<'e>(&mut self, them: impl IntoIterator<Item = &'e Expr>) -> Result<Vec<Expression>> {
        them.into_iter().map(|expression| self.expression(expression)).collect()
    }

    fn expression(&mut self, expression: &Expr) -> Result<Expression> {
        self.deeper(expression, |this| {
            let offset = this.offset(Some(expression.range()));
            Ok(Expression { offset, kind: this.expression_kind(expression)? })
        })
    }

    fn expression_kind(&mut self, expression: &Expr) -> Result<ExpressionKind> {
        Ok(match expression {
            Expr::NoneLiteral(_) => self.literal(Constant::None),
            Expr::BooleanLiteral(it) => self.literal(Constant::Bool(it.value)),
            Expr::StringLiteral(it) => self.literal(Constant::String(it.value.to_str().to_owned())),
            Expr::NumberLiteral(it) => self.literal(match &it.value {
                Number::Int(int) => match int.as_i64() {
                    Some(small) => Constant::Int(small),
                    None => Constant::LargeInt(int.to_string()),
                },
                Number::Float(float) => Constant::Float(*float),
                Number::Complex { .. } => return no_part(it, "a complex number is"),
            }),
            Expr::Name(it) => ExpressionKind::Name(self.name(&it.id)),
            Expr::Tuple(it) => ExpressionKind::Tuple(self.expressions(&it.elts)?),
            Expr::List(it) => ExpressionKind::List(self.expressions(&it.elts)?),
            Expr::Dict(it) => ExpressionKind::Dict(
                it.items
                    .iter()
                    .map(|item| match &item.key {
                        Some(key) => Ok((self.expression(key)?, self.expression(&item.value)?)),
                        None => no_part(item, "'**' is"),
                    })
                    .collect::<Result<_>>()?,
            ),
            Expr::Subscript(it) => {
                ExpressionKind::Item { container: self.boxed(&it.value)?, key: self.boxed(&it.slice)? }
            }
            Expr::Slice(it) => ExpressionKind::Slice(Box::new([
                self.optional(it.lower.as_deref())?,
                self.optional(it.upper.as_deref())?,
                self.optional(it.step.as_deref())?,
            ])),
            Expr::UnaryOp(it) => {
                let operand = self.boxed(&it.operand)?;
                match it.op {
                    UnaryOp::Not => ExpressionKind::Not(operand),
                    UnaryOp::USub => ExpressionKind::Negative(operand),
                    UnaryOp::UAdd => ExpressionKind::Positive(operand),
                    UnaryOp::Invert => return no_part(it, "'~' is"),
                }
            }
            Expr::BinOp(it) => ExpressionKind::Arithmetic {
                operator: operator(it.op, it)?,
                left: self.boxed(&it.left)?,
                right: self.boxed(&it.right)?,
            },
            Expr::Compare(it) => ExpressionKind::Compare {
                first: self.boxed(&it.left)?,
                rest: it
                    .ops
                    .iter()
                    .zip(&it.comparators)
                    .map(|(op, right)| Ok((comparison(*op), self.expression(right)?)))
                    .collect::<Result<_>>()?,
            },
            Expr::BoolOp(it) => match it.op {
                BoolOp::And => ExpressionKind::And(self.expressions(&it.values)?),
                BoolOp::Or => ExpressionKind::Or(self.expressions(&it.values)?),
            },
            Expr::If(it) => ExpressionKind::Conditional {
                test: self.boxed(&it.test)?,
                then: self.boxed(&it.body)?,
                otherwise: self.boxed(&it.orelse)?,
            },
            Expr::Call(it) => match it.arguments.keywords.first() {
                None => ExpressionKind::Call {
                    callable: self.boxed(&it.func)?,
                    arguments: self.expressions(&it.arguments.args)?,
                },
                Some(keyword) => return no_part(keyword, "a keyword argument is"),
            },
            other => return no_part(other, expression_words(other)),
        })
    }

    fn literal(&mut self, constant: Constant) -> ExpressionKind {
        ExpressionKind::Constant(self.constant(constant))
    }
}

/// The names that a function's body assigns to, which are therefore locals.
struct Assigned<'a>(&'a mut Vec<String>);

impl Assigned<'_> {
    fn add(&mut self, name: &str) {
        if !self.0.iter().any(|known| known == name) {
            self.0.push(name.to_owned());
        }
    }
}

impl<'a> Visitor<'a> for Assigned<'_> {
    fn visit_expr(&mut self, expression: &'a Expr) {
        if let Expr::Name(name) = expression
            && name.ctx == ExprContext::Store
        {
            self.add(&name.id);
        }
        visitor::walk_expr(self, expression);
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(it) = handler;
        if let Some(name) = &it.name {
            self.add(name);
        }
        visitor::walk_except_handler(self, handler);
    }
}

/// A docstring is nothing that runs.
fn without_docstring(body: &[Stmt]) -> &[Stmt] {
    match body {
        [Stmt::Expr(first), rest @ ..] if first.value.is_string_literal_expr() => rest,
        all => all,
    }
}

fn operator(operator: ast::Operator, at: impl Ranged) -> Result<Operator> {
    Ok(match operator {
        ast::Operator::Add => Operator::Add,
        ast::Operator::Sub => Operator::Subtract,
        ast::Operator::Mult => Operator::Multiply,
        ast::Operator::Div => Operator::Divide,
        ast::Operator::FloorDiv => Operator::FloorDivide,
        ast::Operator::Mod => Operator::Remainder,
        other => return no_part(at, &format!("'{other}' is")),
    })
}

fn comparison(operator: CmpOp) -> Comparison {
    match operator {
        CmpOp::Eq => Comparison::Equal,
        CmpOp::NotEq => Comparison::NotEqual,
        CmpOp::Lt => Comparison::Less,
        CmpOp::LtE => Comparison::LessOrEqual,
        CmpOp::Gt => Comparison::Greater,
        CmpOp::GtE => Comparison::GreaterOrEqual,
        CmpOp::Is => Comparison::Is,
        CmpOp::IsNot => Comparison::IsNot,
        CmpOp::In => Comparison::In,
        CmpOp::NotIn => Comparison::NotIn,
    }
}

/// What is said of a statement that is refused.
fn statement_words(statement: &Stmt) -> &'static str {
    match statement {
        Stmt::ClassDef(_) => "a class is",
        Stmt::Import(_) | Stmt::ImportFrom(_) => "an import is",
        Stmt::AnnAssign(_) => "an annotation is",
        Stmt::Global(_) => "'global' is",
        Stmt::Nonlocal(_) => "'nonlocal' is",
        Stmt::With(_) => "'with' is",
        Stmt::Match(_) => "'match' is",
        Stmt::Assert(_) => "'assert' is",
        Stmt::Delete(_) => "'del' is",
        _ => "this is",
    }
}

/// What is said of an expression that is refused.
fn expression_words(expression: &Expr) -> &'static str {
    match expression {
        Expr::Attribute(_) => "an attribute is",
        Expr::ListComp(_) | Expr::SetComp(_) | Expr::DictComp(_) => "a comprehension is",
        Expr::Generator(_) => "a generator expression is",
        Expr::Lambda(_) => "'lambda' is",
        Expr::FString(_) => "an f-string is",
        Expr::BytesLiteral(_) => "a bytes literal is",
        Expr::Set(_) => "a set is",
        Expr::Named(_) => "':=' is",
        Expr::Starred(_) => "'*' is",
        Expr::Yield(_) | Expr::YieldFrom(_) => "'yield' is",
        Expr::Await(_) => "'await' is",
        _ => "this is",
    }
}
