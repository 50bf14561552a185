//! One run of a script: what Rhai's debugger interface says, told as events.
//!
//! It owns the stack of the functions that run. Rhai keeps nothing of ours on its own, so a function's scope is
//! entered anew for each event, which costs little: a comparison, if nothing was changed. The lock of the stack
//! must never be held while an event is fired, nor while an exception is dropped.

use crate::error::{stop, throw, to_exception};
use crate::function::{Running, line, place};
use crate::script::Program;
use crate::value::{from_python, to_python};
use monitrace::Object;
use monitrace::event::{PyReturn, PyUnwind, Raise};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use rhai::debugger::{DebuggerCommand, DebuggerEvent};
use rhai::{ASTNode, Dynamic, Engine, EvalAltResult, Position};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) const MOST_ARGUMENTS: usize = 8;

type Outcome<'a> = Result<&'a Dynamic, &'a EvalAltResult>;

pub(crate) struct Run {
    program: Arc<Program>,
    stack: Mutex<Stack>,
}

#[derive(Default)]
struct Stack {
    frames: Vec<Frame>,
    /// The exception that leaves one function after the other, so that all are told of the same.
    leaving: Option<PyErr>,
    /// What the callback of a `PY_START` raised. Rhai says nothing of the end of a function that did not begin
    /// well, so the function goes on to the next that Rhai says of it.
    pending: Option<PyErr>,
}

struct Frame {
    /// Which of the program's functions.
    function: usize,
    /// How many calls Rhai counted when it began. Those of its own functions are counted, too, but begin nothing.
    depth: usize,
    /// Where it is.
    place: Position,
    /// The line that was begun last, or 0.
    line: u32,
    /// The statements that were run since.
    statements: Vec<Position>,
}

impl Frame {
    fn new(function: usize, depth: usize, place: Position) -> Frame {
        Frame { function, depth, place, line: 0, statements: Vec::new() }
    }

    /// Goes on to a place, and says whether a line begins there: another one, or the same one again.
    fn go(&mut self, place: Position, statement: Option<Position>) -> bool {
        let again = statement.is_some_and(|statement| self.statements.contains(&statement));
        let begins = again || line(place) != self.line;
        if begins {
            self.statements.clear();
        }
        self.statements.extend(statement);
        self.place = place;
        self.line = line(place);
        begins
    }
}

/// Has the engine tell a run of every step.
pub(crate) fn debug(engine: &mut Engine, run: &Arc<Run>) {
    let run = Arc::clone(run);
    #[allow(deprecated, reason = "that is how Rhai says that the interface may change")]
    engine.register_debugger(
        |_, debugger| debugger,
        move |context, event, node, _, _| {
            let depth = context.debugger().map_or(0, |debugger| debugger.call_stack().len());
            let told = Python::attach(|py| match event {
                DebuggerEvent::End => Ok(()),
                DebuggerEvent::FunctionExitWithValue(value) => run.leave(py, depth, Ok(value)),
                DebuggerEvent::FunctionExitWithError(error) => run.leave(py, depth, Err(error)),
                _ => run.step(py, depth, &node),
            });
            told.map(|()| DebuggerCommand::StepInto).map_err(stop)
        },
    );
}

impl Run {
    pub(crate) fn new(program: Arc<Program>) -> Run {
        Run { program, stack: Mutex::default() }
    }

    /// All of a run, which `eval` does.
    pub(crate) fn all<'py>(
        &self,
        py: Python<'py>,
        eval: impl FnOnce() -> Result<Dynamic, Box<EvalAltResult>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.enter(py, 0, 0)?;
        let result = eval();
        self.leave(py, 0, result.as_ref().map_err(|error| &**error))?;
        match result {
            Ok(value) => to_python(py, &value),
            Err(error) => Err(self.exception(py, &error)),
        }
    }

    /// Calls a Python callable for a script, which may catch what comes out of it.
    pub(crate) fn call(
        &self,
        py: Python<'_>,
        callable: &Bound<'_, PyAny>,
        arguments: &[&mut Dynamic],
        place: Position,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        let arguments: PyResult<Vec<_>> = arguments.iter().map(|it| to_python(py, it)).collect();
        let arguments = arguments.map_err(|error| throw(py, error, place))?;
        self.tell_call(py, callable, arguments.first(), place).map_err(stop)?;
        let returned = PyTuple::new(py, arguments).and_then(|arguments| callable.call1(arguments));
        returned.and_then(|value| from_python(&value)).map_err(|error| {
            let note = format!("called at {}:{}", self.program.file, line(place));
            // An exception that takes no notes goes without.
            let _ = error.value(py).call_method1("add_note", (note,));
            throw(py, error, place)
        })
    }

    fn tell_call(
        &self,
        py: Python<'_>,
        callable: &Bound<'_, PyAny>,
        arg0: Option<&Bound<'_, PyAny>>,
        place: Position,
    ) -> PyResult<()> {
        let Some(index) = self.stack().frames.last_mut().map(|frame| {
            frame.place = place;
            frame.function
        }) else {
            return Ok(());
        };
        let function = &self.program.functions[index];
        let arg0 = arg0.map(|it| it as &dyn Object);
        Ok(function.enter(py)?.call(function.offset(place), callable, arg0)?)
    }

    /// A statement or expression begins, and with it perhaps a function.
    fn step(&self, py: Python<'_>, depth: usize, node: &ASTNode<'_>) -> PyResult<()> {
        py.check_signals()?;
        // What left functions was caught.
        self.forget();
        if let Some(pending) = self.take_pending() {
            return Err(pending);
        }
        if self.stack().frames.last().is_none_or(|frame| depth > frame.depth) {
            let index = self.program.bodies.get(&node.position());
            return self.enter(py, depth, index.copied().unwrap_or(0));
        }
        let place = place(node);
        let went = self.stack().frames.last_mut().map(|frame| {
            let function = &self.program.functions[frame.function];
            let statement = function.is_statement(node).then(|| node.position());
            (function, frame.go(place, statement))
        });
        if let Some((function, true)) = went {
            function.enter(py)?.line(function.offset(place), line(place))?;
        }
        Ok(())
    }

    fn enter(&self, py: Python<'_>, depth: usize, index: usize) -> PyResult<()> {
        let function = &self.program.functions[index];
        let entered = function.enter(py)?;
        self.stack().frames.push(Frame::new(index, depth, function.start()));
        if let Err(raised) = entered.py_start(0) {
            self.stack().pending = Some(raised.into());
        }
        Ok(())
    }

    /// A function ends, if it is one of the script. An error is what leaves it instead: what a callback raised.
    fn leave(&self, py: Python<'_>, depth: usize, outcome: Outcome<'_>) -> PyResult<()> {
        let Some(frame) = self.stack().frames.pop_if(|frame| frame.depth == depth) else {
            return Ok(());
        };
        let function = &self.program.functions[frame.function];
        let offset = function.offset(frame.place);
        let entered = function.enter(py)?;
        if let Some(pending) = self.take_pending() {
            return Err(unwind(&entered, offset, pending));
        }
        match outcome {
            // The second is how `exit` ends all functions.
            Ok(value) | Err(EvalAltResult::Exit(value, _)) => {
                if !entered.is_active(PyReturn) {
                    return Ok(());
                }
                let value = to_python(py, value).or_else(|_| value.to_string().into_bound_py_any(py))?;
                let told = entered.py_return(offset, &value);
                told.map_err(|raised| unwind(&entered, offset, raised.into()))
            }
            Err(error) => {
                if !entered.is_active(Raise) && !entered.is_active(PyUnwind) {
                    return Ok(());
                }
                let exception = self.exception(py, error);
                let leaves = unwind(&entered, offset, exception.clone_ref(py));
                if leaves.value(py).is(exception.value(py)) {
                    return Ok(());
                }
                self.forget();
                Err(leaves)
            }
        }
    }

    /// The exception for an error, which is the same until the error is caught.
    fn exception(&self, py: Python<'_>, error: &EvalAltResult) -> PyErr {
        if let Some(leaving) = &self.stack().leaving {
            return leaving.clone_ref(py);
        }
        let exception = to_exception(py, error, &self.program.file);
        self.stack().leaving = Some(exception.clone_ref(py));
        exception
    }

    fn forget(&self) {
        let leaving = self.stack().leaving.take();
        drop(leaving);
    }

    fn take_pending(&self) -> Option<PyErr> {
        self.stack().pending.take()
    }

    fn stack(&self) -> MutexGuard<'_, Stack> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells that an exception leaves a function, and returns the one that does: a callback may raise another.
fn unwind(entered: &Running<'_, '_>, offset: u32, exception: PyErr) -> PyErr {
    let exception = entered.raise(offset, &exception).err().map_or(exception, PyErr::from);
    entered.py_unwind(offset, &exception).err().map_or(exception, PyErr::from)
}
