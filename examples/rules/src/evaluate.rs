//! Evaluates functions of a rule file, and fires their events as it goes.
//!
//! It owns what the language means, and when an event happens: as for Python itself. Values are Python's.
//! Nothing here may pass an exception on without `raising` it: so says the type [`Unwinding`].

use crate::LimitExceeded;
use crate::function::{Compiled, Function, Program};
use crate::limits::Level;
use crate::monitor::Running;
use crate::tree::{
    Arm, Comparison, Expression, ExpressionKind, Handler, Name, Offset, Operator, Start, Statement,
    StatementKind, Target, TargetKind, Try,
};
use monitrace::Object;
use pyo3::basic::CompareOp;
use pyo3::exceptions::{
    PyBaseException, PyException, PyNameError, PyRuntimeError, PyTypeError, PyUnboundLocalError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFunction, PyIterator, PyList, PySlice, PyTuple, PyType};
use std::sync::Arc;

/// Calls a function of a program.
///
/// # Errors
/// What the function raised, with a note that says where.
pub(crate) fn call<'py>(
    py: Python<'py>,
    program: &Arc<Program>,
    index: usize,
    globals: &Bound<'py, PyDict>,
    arguments: Vec<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let Compiled { tree: function, monitored } = &program.functions[index];
    if arguments.len() != function.parameters {
        return Err(PyTypeError::new_err(format!(
            "{}() takes {} arguments but {} were given",
            function.name,
            function.parameters,
            arguments.len()
        )));
    }
    let _level = Level::enter(py, program.steps)?;
    let mut locals: Vec<_> = arguments.into_iter().map(Some).collect();
    locals.resize(function.locals.len(), None);
    let frame = Frame {
        py,
        program,
        function,
        running: monitored.enter(py)?,
        globals,
        locals,
        line: 0,
        at: 0,
        raised_at: 0,
        handled: Vec::new(),
    };
    frame.run()
}

/// An exception on its way out of a function. It has been told of.
struct Unwinding(PyErr);

type Evaluated<T> = Result<T, Unwinding>;
type Value<'py> = Evaluated<Bound<'py, PyAny>>;

/// How a block ended.
enum Flow<'py> {
    Next,
    Break,
    Continue,
    Return(Bound<'py, PyAny>),
}

/// A call of a function.
struct Frame<'a, 'py> {
    py: Python<'py>,
    program: &'a Arc<Program>,
    function: &'a crate::tree::Function,
    running: Running<'a, 'py>,
    globals: &'a Bound<'py, PyDict>,
    locals: Vec<Option<Bound<'py, PyAny>>>,
    /// The line that was told last.
    line: u32,
    /// The statement that is being executed, or was last.
    at: Offset,
    /// Where the newest exception comes from.
    raised_at: Offset,
    /// The exceptions that are being handled, the innermost last.
    handled: Vec<PyErr>,
}

impl<'py> Frame<'_, 'py> {
    fn run(mut self) -> PyResult<Bound<'py, PyAny>> {
        self.body().map_err(|Unwinding(error)| {
            // As everywhere, what a callback raises takes the place of what was to be told.
            let told = self.running.py_unwind(self.raised_at, &error);
            let error = told.err().map_or(error, PyErr::from);
            self.note(&error);
            error
        })
    }

    fn body(&mut self) -> Value<'py> {
        let started = self.running.py_start(0);
        self.raising(0, started)?;
        let result = match self.block(&self.function.body)? {
            Flow::Return(value) => value,
            _ => self.py.None().into_bound(self.py),
        };
        // From where it was last, be that a `return` or not: so does Python's code.
        let returned = self.running.py_return(self.at, &result);
        self.raising(self.at, returned)?;
        Ok(result)
    }

    /// Says where an exception comes from: rules have no tracebacks.
    fn note(&self, error: &PyErr) {
        let position = self.function.positions[self.raised_at as usize / 2];
        let line = position.map_or(self.function.first_line, |position| position.line);
        let file = self.program.path.display();
        let note = format!("  File \"{file}\", line {line}, in {}", self.function.name);
        // An exception may refuse it, and is worth more than its note.
        let _ = error.value(self.py).call_method1("add_note", (note,));
    }

    /// The exception of whatever failed at an offset is raised there.
    fn raising<T>(&mut self, offset: Offset, result: Result<T, impl Into<PyErr>>) -> Evaluated<T> {
        result.map_err(|error| {
            let error = error.into();
            self.raised_at = offset;
            let told = self.running.raise(offset, &error);
            Unwinding(told.err().map_or(error, PyErr::from))
        })
    }

    /// An exception that was caught goes on.
    fn raising_again(&mut self, offset: Offset, error: PyErr) -> Unwinding {
        let told = self.running.reraise(offset, &error);
        Unwinding(told.err().map_or(error, PyErr::from))
    }

    /// A line begins, unless the one before is the same: after another statement of that line, or when a
    /// loop of one line goes on.
    fn line(&mut self, start: Start) -> Evaluated<()> {
        self.at = start.offset;
        if self.line == start.line {
            return Ok(());
        }
        self.line = start.line;
        let told = self.running.line(start.offset, start.line);
        self.raising(start.offset, told)
    }

    /// The flow of control divides, and goes left or right.
    fn branch(&mut self, index: usize, left: bool) -> Evaluated<()> {
        let branch = &self.function.branches[index];
        let told = if left {
            self.running.branch_left(branch.at, branch.left)
        } else {
            self.running.branch_right(branch.at, branch.right)
        };
        self.raising(branch.at, told)
    }

    fn block(&mut self, block: &[Statement]) -> Evaluated<Flow<'py>> {
        for statement in block {
            let flow = self.statement(statement)?;
            if !matches!(flow, Flow::Next) {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, statement: &Statement) -> Evaluated<Flow<'py>> {
        let start = statement.start;
        self.line(start)?;
        let level = Level::enter(self.py, self.program.steps);
        let _level = self.raising(start.offset, level)?;
        match &statement.kind {
            StatementKind::Pass => {}
            StatementKind::Break => return Ok(Flow::Break),
            StatementKind::Continue => return Ok(Flow::Continue),
            StatementKind::Return(value) => {
                let value = match value {
                    Some(value) => self.expression(value)?,
                    None => self.py.None().into_bound(self.py),
                };
                return Ok(Flow::Return(value));
            }
            StatementKind::Expression(expression) => {
                self.expression(expression)?;
            }
            StatementKind::Assign { targets, value } => {
                let value = self.expression(value)?;
                for target in targets {
                    self.assign(target, value.clone())?;
                }
            }
            StatementKind::Augment { target, operator, value } => {
                self.augment(start.offset, target, *operator, value)?;
            }
            StatementKind::If { arms, otherwise } => return self.if_statement(arms, otherwise),
            StatementKind::While { branch, test, body, otherwise } => {
                while self.is_true(test)? {
                    self.branch(*branch, true)?;
                    match self.block(body)? {
                        Flow::Next | Flow::Continue => self.line(start)?,
                        Flow::Break => return Ok(Flow::Next),
                        flow @ Flow::Return(_) => return Ok(flow),
                    }
                }
                self.branch(*branch, false)?;
                return self.block(otherwise);
            }
            StatementKind::For { branch, target, iterable, body, otherwise } => {
                let items = self.expression(iterable)?.try_iter();
                let items = self.raising(iterable.offset, items)?;
                for item in items {
                    let item = self.raising(iterable.offset, item)?;
                    self.branch(*branch, true)?;
                    self.assign(target, item)?;
                    match self.block(body)? {
                        Flow::Next | Flow::Continue => self.line(start)?,
                        Flow::Break => return Ok(Flow::Next),
                        flow @ Flow::Return(_) => return Ok(flow),
                    }
                }
                self.branch(*branch, false)?;
                return self.block(otherwise);
            }
            StatementKind::Raise { error, cause } => {
                return Err(self.raise(start.offset, error.as_ref(), cause.as_ref())?);
            }
            StatementKind::Try(it) => return self.try_statement(it),
            StatementKind::Define { name, function } => {
                let function = Function::new(self.program.clone(), *function, self.globals.clone().unbind());
                let function = Bound::new(self.py, function);
                let function = self.raising(start.offset, function)?;
                self.bind(start.offset, *name, function.into_any())?;
            }
        }
        Ok(Flow::Next)
    }

    fn if_statement(&mut self, arms: &[Arm], otherwise: &[Statement]) -> Evaluated<Flow<'py>> {
        for arm in arms {
            self.line(arm.start)?;
            let chosen = self.is_true(&arm.test)?;
            self.branch(arm.branch, chosen)?;
            if chosen {
                return self.block(&arm.body);
            }
        }
        self.block(otherwise)
    }

    /// What a `raise` statement raises, if it comes to that.
    fn raise(
        &mut self,
        offset: Offset,
        error: Option<&Expression>,
        cause: Option<&Expression>,
    ) -> Evaluated<Unwinding> {
        let Some(error) = error else {
            let Some(handled) = self.handled.last() else {
                let nothing = PyRuntimeError::new_err("No active exception to reraise");
                return self.raising(offset, Err(nothing));
            };
            let handled = handled.clone_ref(self.py);
            return Ok(self.raising_again(offset, handled));
        };
        let error = PyErr::from_value(self.expression(error)?);
        if let Some(cause) = cause {
            let cause = self.expression(cause)?;
            error.set_cause(self.py, (!cause.is_none()).then(|| PyErr::from_value(cause)));
        }
        self.raising(offset, Err(error))
    }

    fn try_statement(&mut self, it: &Try) -> Evaluated<Flow<'py>> {
        let ended = match self.block(&it.body) {
            Ok(Flow::Next) => self.block(&it.otherwise),
            Err(Unwinding(error)) if !it.handlers.is_empty() => self.handle(&it.handlers, error),
            ended => ended,
        };
        let Some(finally) = it.finally.first() else {
            return ended;
        };
        let flow = match ended {
            Ok(flow) => Ok(flow),
            Err(Unwinding(error)) => {
                let raised_at = self.raised_at;
                self.handling(finally.start.offset, &error)?;
                Err((error, raised_at))
            }
        };
        let finished = self.block(&it.finally);
        if flow.is_err() {
            self.handled.pop();
        }
        match (finished?, flow) {
            (Flow::Next, Ok(flow)) => Ok(flow),
            (Flow::Next, Err((error, raised_at))) => {
                self.raised_at = raised_at;
                Err(self.raising_again(self.at, error))
            }
            // What leaves the block itself wins over what was under way.
            (flow, _) => Ok(flow),
        }
    }

    /// An exception is being handled, from an offset on: until it is taken out of `handled`.
    fn handling(&mut self, offset: Offset, error: &PyErr) -> Evaluated<()> {
        let told = self.running.exception_handled(offset, error);
        self.raising(offset, told)?;
        self.handled.push(error.clone_ref(self.py));
        Ok(())
    }

    fn handle(&mut self, handlers: &[Handler], error: PyErr) -> Evaluated<Flow<'py>> {
        // A rule can catch neither its limits nor the user's interrupt.
        if error.is_instance_of::<LimitExceeded>(self.py) || !error.is_instance_of::<PyException>(self.py) {
            return Err(Unwinding(error));
        }
        let raised_at = self.raised_at;
        self.handling(handlers[0].start.offset, &error)?;
        let ended = self.first_that_catches(handlers, &error);
        self.handled.pop();
        match ended? {
            Some(flow) => Ok(flow),
            None => {
                self.raised_at = raised_at;
                Err(self.raising_again(self.at, error))
            }
        }
    }

    fn first_that_catches(&mut self, handlers: &[Handler], error: &PyErr) -> Evaluated<Option<Flow<'py>>> {
        for handler in handlers {
            self.line(handler.start)?;
            if let Some(types) = &handler.types {
                let caught = self.expression(types)?;
                let catches = catches(self.py, error, &caught);
                if !self.raising(types.offset, catches)? {
                    continue;
                }
            }
            let Some(name) = handler.name else {
                return self.block(&handler.body).map(Some);
            };
            self.bind(handler.start.offset, name, error.value(self.py).clone().into_any())?;
            let ended = self.block(&handler.body);
            // As in Python, the name is gone then.
            let unbound = self.unbind(name);
            let ended = ended?;
            self.raising(handler.start.offset, unbound)?;
            return Ok(Some(ended));
        }
        Ok(None)
    }

    fn assign(&mut self, target: &Target, value: Bound<'py, PyAny>) -> Evaluated<()> {
        match &target.kind {
            TargetKind::Name(name) => self.bind(target.offset, *name, value),
            TargetKind::Item { container, key } => {
                let container = self.expression(container)?;
                let key = self.expression(key)?;
                let set = container.set_item(key, value);
                self.raising(target.offset, set)
            }
            TargetKind::Unpack(targets) => {
                let values = unpack(&value, targets.len());
                let values = self.raising(target.offset, values)?;
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value)?;
                }
                Ok(())
            }
        }
    }

    fn augment(
        &mut self,
        offset: Offset,
        target: &Target,
        operator: Operator,
        value: &Expression,
    ) -> Evaluated<()> {
        match &target.kind {
            TargetKind::Name(name) => {
                let old = self.name(target.offset, *name)?;
                let value = self.expression(value)?;
                let new = in_place(operator, &old, &value);
                let new = self.raising(offset, new)?;
                self.bind(target.offset, *name, new)
            }
            TargetKind::Item { container, key } => {
                let container = self.expression(container)?;
                let key = self.expression(key)?;
                let old = container.get_item(&key);
                let old = self.raising(target.offset, old)?;
                let value = self.expression(value)?;
                let new = in_place(operator, &old, &value);
                let new = self.raising(offset, new)?;
                let set = container.set_item(key, new);
                self.raising(target.offset, set)
            }
            // The parser accepts none of these.
            TargetKind::Unpack(_) => {
                let words = "a tuple is no target for augmented assignment";
                self.raising(offset, Err(PyTypeError::new_err(words)))
            }
        }
    }

    fn constant(&self, index: usize) -> &Bound<'py, PyAny> {
        self.program.constants[index].bind(self.py)
    }

    fn bind(&mut self, offset: Offset, name: Name, value: Bound<'py, PyAny>) -> Evaluated<()> {
        match name {
            Name::Local(index) => {
                self.locals[index] = Some(value);
                Ok(())
            }
            Name::Global(name) => {
                let set = self.globals.set_item(self.constant(name), value);
                self.raising(offset, set)
            }
        }
    }

    /// Takes a name's value away, if it still has one.
    fn unbind(&mut self, name: Name) -> PyResult<()> {
        match name {
            Name::Local(index) => self.locals[index] = None,
            Name::Global(name) => {
                let name = self.constant(name);
                if self.globals.contains(name)? {
                    self.globals.del_item(name)?;
                }
            }
        }
        Ok(())
    }

    fn name(&mut self, offset: Offset, name: Name) -> Value<'py> {
        let value = match name {
            Name::Local(index) => self.locals[index].clone().ok_or_else(|| {
                PyUnboundLocalError::new_err(format!(
                    "cannot access local variable '{}' where it is not associated with a value",
                    self.function.locals[index]
                ))
            }),
            Name::Global(index) => self.global(index),
        };
        self.raising(offset, value)
    }

    fn global(&self, index: usize) -> PyResult<Bound<'py, PyAny>> {
        let name = self.constant(index);
        if let Some(value) = self.globals.get_item(name)? {
            return Ok(value);
        }
        match self.program.builtins.bind(self.py).get_item(name)? {
            Some(value) => Ok(value),
            None => Err(PyNameError::new_err(format!("name '{name}' is not defined"))),
        }
    }

    fn is_true(&mut self, expression: &Expression) -> Evaluated<bool> {
        let value = self.expression(expression)?;
        let truth = value.is_truthy();
        self.raising(expression.offset, truth)
    }

    fn expressions(&mut self, expressions: &[Expression]) -> Evaluated<Vec<Bound<'py, PyAny>>> {
        expressions.iter().map(|expression| self.expression(expression)).collect()
    }

    fn expression(&mut self, expression: &Expression) -> Value<'py> {
        let offset = expression.offset;
        let level = Level::enter(self.py, self.program.steps);
        let _level = self.raising(offset, level)?;
        let py = self.py;
        let value = match &expression.kind {
            ExpressionKind::Constant(index) => Ok(self.constant(*index).clone()),
            ExpressionKind::Name(name) => return self.name(offset, *name),
            ExpressionKind::Tuple(items) => PyTuple::new(py, self.expressions(items)?).map(Bound::into_any),
            ExpressionKind::List(items) => PyList::new(py, self.expressions(items)?).map(Bound::into_any),
            ExpressionKind::Dict(items) => {
                let dict = PyDict::new(py);
                for (key, value) in items {
                    let (key, value) = (self.expression(key)?, self.expression(value)?);
                    let set = dict.set_item(key, value);
                    self.raising(offset, set)?;
                }
                Ok(dict.into_any())
            }
            ExpressionKind::Slice(bounds) => {
                let mut values = Vec::with_capacity(bounds.len());
                for bound in bounds.iter() {
                    values.push(bound.as_ref().map(|bound| self.expression(bound)).transpose()?);
                }
                PyTuple::new(py, values).and_then(|values| py.get_type::<PySlice>().call1(values))
            }
            ExpressionKind::Item { container, key } => {
                let container = self.expression(container)?;
                let key = self.expression(key)?;
                container.get_item(key)
            }
            ExpressionKind::Not(operand) => {
                let truth = self.is_true(operand)?;
                Ok(PyBool::new(py, !truth).to_owned().into_any())
            }
            ExpressionKind::Negative(operand) => self.expression(operand)?.neg(),
            ExpressionKind::Positive(operand) => self.expression(operand)?.pos(),
            ExpressionKind::Arithmetic { operator, left, right } => {
                let left = self.expression(left)?;
                let right = self.expression(right)?;
                match operator {
                    Operator::Add => left.add(right),
                    Operator::Subtract => left.sub(right),
                    Operator::Multiply => left.mul(right),
                    Operator::Divide => left.div(right),
                    Operator::FloorDivide => left.floor_div(right),
                    Operator::Remainder => left.rem(right),
                }
            }
            ExpressionKind::Compare { first, rest } => return self.compare(offset, first, rest),
            ExpressionKind::And(operands) => return self.until(operands, false),
            ExpressionKind::Or(operands) => return self.until(operands, true),
            ExpressionKind::Conditional { test, then, otherwise } => {
                return if self.is_true(test)? { self.expression(then) } else { self.expression(otherwise) };
            }
            ExpressionKind::Call { callable, arguments } => {
                let callable = self.expression(callable)?;
                let arguments = self.expressions(arguments)?;
                return self.call(offset, &callable, arguments);
            }
        };
        self.raising(offset, value)
    }

    /// The first operand with that truth, or the last of all: `and` and `or`.
    fn until(&mut self, operands: &[Expression], truth: bool) -> Value<'py> {
        let mut last = self.py.None().into_bound(self.py);
        for (index, operand) in operands.iter().enumerate() {
            last = self.expression(operand)?;
            if index + 1 < operands.len() {
                let is_true = last.is_truthy();
                if self.raising(operand.offset, is_true)? == truth {
                    break;
                }
            }
        }
        Ok(last)
    }

    fn compare(
        &mut self,
        offset: Offset,
        first: &Expression,
        rest: &[(Comparison, Expression)],
    ) -> Value<'py> {
        let mut left = self.expression(first)?;
        let mut result = self.py.None().into_bound(self.py);
        for (index, (comparison, right)) in rest.iter().enumerate() {
            let right = self.expression(right)?;
            let compared = compare(*comparison, &left, &right);
            result = self.raising(offset, compared)?;
            if index + 1 < rest.len() {
                let truth = result.is_truthy();
                if !self.raising(offset, truth)? {
                    break;
                }
            }
            left = right;
        }
        Ok(result)
    }

    fn call(
        &mut self,
        offset: Offset,
        callable: &Bound<'py, PyAny>,
        arguments: Vec<Bound<'py, PyAny>>,
    ) -> Value<'py> {
        let first = arguments.first().map(|first| first as &dyn Object);
        let told = self.running.call(offset, callable, first);
        self.raising(offset, told)?;
        if let Ok(function) = callable.cast_exact::<Function>() {
            let result = function.get().call(self.py, arguments);
            return self.raising(offset, result);
        }
        let result = PyTuple::new(self.py, arguments).and_then(|arguments| callable.call1(arguments));
        // The end of a call is told of what has no events of its own.
        if callable.is_exact_instance_of::<PyFunction>() {
            return self.raising(offset, result);
        }
        let result = match &result {
            Ok(value) => self.running.c_return(offset, value).map_err(PyErr::from).and(result),
            Err(error) => self.running.c_raise(offset, error).map_err(PyErr::from).and(result),
        };
        self.raising(offset, result)
    }
}

fn compare<'py>(
    comparison: Comparison,
    left: &Bound<'py, PyAny>,
    right: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let operator = match comparison {
        Comparison::Equal => CompareOp::Eq,
        Comparison::NotEqual => CompareOp::Ne,
        Comparison::Less => CompareOp::Lt,
        Comparison::LessOrEqual => CompareOp::Le,
        Comparison::Greater => CompareOp::Gt,
        Comparison::GreaterOrEqual => CompareOp::Ge,
        Comparison::Is => return Ok(boolean(left.py(), left.is(right))),
        Comparison::IsNot => return Ok(boolean(left.py(), !left.is(right))),
        Comparison::In => return Ok(boolean(left.py(), right.contains(left)?)),
        Comparison::NotIn => return Ok(boolean(left.py(), !right.contains(left)?)),
    };
    left.rich_compare(right, operator)
}

fn boolean(py: Python<'_>, truth: bool) -> Bound<'_, PyAny> {
    PyBool::new(py, truth).to_owned().into_any()
}

/// `+=` and its like, by which lists grow where they are.
fn in_place<'py>(
    operator: Operator,
    old: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    static ADD: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static SUBTRACT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static MULTIPLY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static DIVIDE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static FLOOR_DIVIDE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static REMAINDER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let (function, name) = match operator {
        Operator::Add => (&ADD, "iadd"),
        Operator::Subtract => (&SUBTRACT, "isub"),
        Operator::Multiply => (&MULTIPLY, "imul"),
        Operator::Divide => (&DIVIDE, "itruediv"),
        Operator::FloorDivide => (&FLOOR_DIVIDE, "ifloordiv"),
        Operator::Remainder => (&REMAINDER, "imod"),
    };
    function.import(old.py(), "operator", name)?.call1((old, value))
}

/// The values for that many targets.
fn unpack<'py>(value: &Bound<'py, PyAny>, wanted: usize) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let values: Vec<_> = PyIterator::from_object(value)?.take(wanted + 1).collect::<PyResult<_>>()?;
    match values.len() {
        found if found > wanted => {
            Err(PyValueError::new_err(format!("too many values to unpack (expected {wanted})")))
        }
        found if found < wanted => Err(PyValueError::new_err(format!(
            "not enough values to unpack (expected {wanted}, got {found})"
        ))),
        _ => Ok(values),
    }
}

/// Whether an `except` with these types catches an exception.
fn catches(py: Python<'_>, error: &PyErr, types: &Bound<'_, PyAny>) -> PyResult<bool> {
    let is_type = |object: &Bound<'_, PyAny>| {
        object.cast::<PyType>().is_ok_and(|it| it.is_subclass_of::<PyBaseException>().unwrap_or(false))
    };
    let fit = match types.cast::<PyTuple>() {
        Ok(types) => types.iter().all(|it| is_type(&it)),
        Err(_) => is_type(types),
    };
    if !fit {
        let words = "catching classes that do not inherit from BaseException is not allowed";
        return Err(PyTypeError::new_err(words));
    }
    Ok(error.matches(py, types)?)
}
