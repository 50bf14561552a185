//! Exceptions of Python as errors of Rhai, and back.

use crate::ScriptError;
use crate::function::line;
use pyo3::exceptions::{PyException, PySyntaxError};
use pyo3::prelude::*;
use rhai::{Dynamic, EvalAltResult, ParseError, Position};
use std::sync::Arc;

/// An exception as a value of scripts, which they can catch and throw again.
#[derive(Clone)]
pub(crate) struct Thrown(Arc<PyErr>);

/// An exception that scripts cannot catch: one that a monitoring callback raised, say.
pub(crate) fn stop(error: PyErr) -> Box<EvalAltResult> {
    EvalAltResult::ErrorSystem(String::new(), Box::new(error)).into()
}

/// An exception that came out of a Python callable which a script called there.
pub(crate) fn throw(py: Python<'_>, error: PyErr, place: Position) -> Box<EvalAltResult> {
    if error.is_instance_of::<PyException>(py) {
        EvalAltResult::ErrorRuntime(Dynamic::from(Thrown(Arc::new(error))), place).into()
    } else {
        stop(error)
    }
}

/// The exception for an error: that which it was made of, or else a ScriptError.
pub(crate) fn to_exception(py: Python<'_>, error: &EvalAltResult, file: &str) -> PyErr {
    let inner = error.unwrap_inner();
    if let EvalAltResult::ErrorSystem(_, stopped) = inner
        && let Some(error) = stopped.downcast_ref::<PyErr>()
    {
        return error.clone_ref(py);
    }
    if let EvalAltResult::ErrorRuntime(value, _) = inner
        && let Some(thrown) = value.read_lock::<Thrown>()
    {
        return thrown.0.clone_ref(py);
    }
    let place = inner.position();
    let message = without_place(inner.to_string(), place);
    ScriptError::new_err(format!("{file}:{}: {message}", line(place)))
}

/// The SyntaxError for what is no script.
pub(crate) fn syntax_error(error: &ParseError, file: &str, source: &str) -> PyErr {
    let place = error.position();
    let message = without_place(error.to_string(), place);
    let text = place.line().and_then(|line| source.lines().nth(line - 1));
    PySyntaxError::new_err((
        message,
        (file.to_owned(), line(place), place.position(), text.map(str::to_owned)),
    ))
}

fn without_place(message: String, place: Position) -> String {
    message.strip_suffix(&format!(" ({place})")).map(str::to_owned).unwrap_or(message)
}
