//! A function of a script, as tools see it.
//!
//! It owns which events a function fires, the code-like that stands for it in callbacks, and the numbers of its
//! places. When the events are fired is the affair of `run.rs`.

use monitrace::event::{Call, Line, PyReturn, PyStart, PyUnwind, Raise};
use monitrace::{Entered, Scope};
use pyo3::exceptions::PyModuleNotFoundError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rhai::{AST, ASTNode, Expr, Position, Stmt};

/// The events of a function. Another could not be fired: it would not compile.
type Events = (PyStart, Line, Call, PyReturn, Raise, PyUnwind);

/// A function that is entered: it has a method for each of its events.
pub(crate) type Running<'a, 'py> = Entered<'a, 'py, Events>;

pub(crate) struct Function {
    /// What callbacks get in the place of a code object.
    code: Py<PyAny>,
    /// Who listens to which of its events.
    scope: Scope<Events>,
    /// Where its statements and expressions are, in order. Each has a unit of two bytes of the code-like.
    places: Vec<Position>,
    /// Where Rhai has the first step of the statements that are expressions, in order.
    expressions: Vec<Position>,
}

impl Function {
    /// A function that begins at a place, and is all that `ast` contains.
    pub(crate) fn new(
        py: Python<'_>,
        name: &str,
        qualname: &str,
        file: &str,
        start: Position,
        ast: &AST,
    ) -> PyResult<Function> {
        let mut places = vec![start];
        let mut expressions = Vec::new();
        ast.walk(&mut |path: &[ASTNode<'_>]| {
            let node = path.last();
            places.extend(node.map(place).filter(|place| !place.is_none()));
            if let Some(ASTNode::Stmt(Stmt::Expr(expression))) = node {
                expressions.push(first_step(expression).position());
            }
            true
        });
        places.sort_unstable();
        places.dedup();
        expressions.sort_unstable();
        let code = code_like(py, name, qualname, file, &places)?;
        Ok(Function { code, scope: Scope::new(), places, expressions })
    }

    pub(crate) fn start(&self) -> Position {
        self.places[0]
    }

    pub(crate) fn is_statement(&self, node: &ASTNode<'_>) -> bool {
        node.is_stmt() || self.expressions.binary_search(&node.position()).is_ok()
    }

    /// The offset of a place, or else of the last one before it.
    pub(crate) fn offset(&self, place: Position) -> u32 {
        let unit = self.places.partition_point(|it| *it <= place).saturating_sub(1);
        u32::try_from(unit * 2).unwrap_or(0)
    }

    /// Enters the function; dropping what this returns leaves it.
    pub(crate) fn enter<'a, 'py>(&'a self, py: Python<'py>) -> PyResult<Running<'a, 'py>> {
        Ok(self.scope.enter(py, &self.code)?)
    }
}

/// Where a statement or expression begins.
pub(crate) fn place(node: &ASTNode<'_>) -> Position {
    match node {
        ASTNode::Expr(expression) => expression.start_position(),
        other => other.position(),
    }
}

/// The part of an expression for which there is one step whenever it is evaluated: for a chain of dots and
/// brackets itself there are several.
fn first_step(expression: &Expr) -> &Expr {
    match expression {
        Expr::Dot(chain, ..) | Expr::Index(chain, ..) => first_step(&chain.lhs),
        other => other,
    }
}

/// The number of a line, from 1 on.
pub(crate) fn line(place: Position) -> u32 {
    place.line().map_or(1, |line| u32::try_from(line).unwrap_or(u32::MAX))
}

/// A `monitrace.CodeLike`, or what tools can do with where monitrace is not installed.
fn code_like(
    py: Python<'_>,
    name: &str,
    qualname: &str,
    file: &str,
    places: &[Position],
) -> PyResult<Py<PyAny>> {
    let firstlineno = line(places[0]);
    let class = match py.import("monitrace") {
        Ok(monitrace) => monitrace.getattr("CodeLike")?,
        Err(error) if error.is_instance_of::<PyModuleNotFoundError>(py) => {
            let names = [name, qualname, file].map(str::to_owned);
            return Ok(Py::new(py, Code { names, firstlineno })?.into_any());
        }
        Err(error) => return Err(error),
    };
    let options = PyDict::new(py);
    options.set_item("qualname", qualname)?;
    let units = (0_u32..).step_by(2).zip(places);
    let lines: Vec<_> = units.map(|(start, place)| (start, start + 2, line(*place))).collect();
    options.set_item("lines", lines)?;
    // The function has one state for all of its lines. So that a tool which disables a line goes on to be told of
    // the others, the code-like remembers which.
    options.set_item("disable", "offset")?;
    Ok(class.call((name, file, firstlineno), Some(&options))?.unbind())
}

/// The least that stands for a code object.
#[pyclass(frozen, weakref, module = "rhai_scripts")]
struct Code {
    /// Its name, qualified name and file.
    names: [String; 3],
    firstlineno: u32,
}

#[pymethods]
impl Code {
    #[getter]
    fn co_name(&self) -> &str {
        &self.names[0]
    }

    #[getter]
    fn co_qualname(&self) -> &str {
        &self.names[1]
    }

    #[getter]
    fn co_filename(&self) -> &str {
        &self.names[2]
    }

    #[getter]
    fn co_firstlineno(&self) -> u32 {
        self.firstlineno
    }
}
