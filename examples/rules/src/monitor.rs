//! What makes a function of a rule file visible to tools: this is all that a host adds to its language.
//!
//! It owns which events a function fires, and the code-like that stands for the function in callbacks. When
//! the events are fired is the evaluator's affair.

use crate::tree::{Function, Position};
use monitrace::event::{
    BranchLeft, BranchRight, CRaise, CReturn, Call, ExceptionHandled, Line, PyReturn, PyStart, PyUnwind,
    Raise, Reraise,
};
use monitrace::{Entered, Scope};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::Path;

/// The events of a function. Another could not be fired: it would not compile.
type Events = (
    PyStart,
    Line,
    BranchLeft,
    BranchRight,
    Call,
    CReturn,
    CRaise,
    PyReturn,
    Raise,
    Reraise,
    ExceptionHandled,
    PyUnwind,
);

/// A function that runs: it has a method for each of its events.
pub(crate) type Running<'a, 'py> = Entered<'a, 'py, Events>;

/// A function as tools see it.
pub(crate) struct Monitored {
    /// What callbacks get in the place of a code object.
    pub(crate) code: Py<PyAny>,
    /// Who listens to which of its events. It lives as long as the function and serves all of its calls.
    scope: Scope<Events>,
}

impl Monitored {
    pub(crate) fn new(py: Python<'_>, function: &Function, file: &Path) -> PyResult<Monitored> {
        let options = PyDict::new(py);
        // A unit for each place that an event can tell of; co_lines() follows from it.
        let positions = function.positions.iter().map(|position| {
            let number = |number: fn(&Position) -> u32| position.as_ref().map(number);
            (
                number(|position| position.line),
                number(|position| position.end_line),
                number(|position| position.column),
                number(|position| position.end_column),
            )
        });
        options.set_item("positions", positions.collect::<Vec<_>>())?;
        let branches = function.branches.iter().map(|branch| (branch.at, branch.left, branch.right));
        options.set_item("branches", branches.collect::<Vec<_>>())?;
        // The function has one state for all of its lines. So that a tool which disables a line goes on
        // to be told of the others, the code-like remembers which.
        options.set_item("disable", "offset")?;
        let arguments = (&function.name, file.as_os_str(), function.first_line);
        let code = py.import("monitrace")?.getattr("CodeLike")?.call(arguments, Some(&options))?;
        Ok(Monitored { code: code.unbind(), scope: Scope::new() })
    }

    /// Enters the function; dropping what this returns leaves it.
    pub(crate) fn enter<'a, 'py>(&'a self, py: Python<'py>) -> PyResult<Running<'a, 'py>> {
        Ok(self.scope.enter(py, &self.code)?)
    }
}
