//! The callables that are registered with `sys.monitoring`: each turns the arguments of one event
//! into a firing for one tool.
//!
//! What is registered is a bound builtin method with as many parameters as the event has
//! arguments: the interpreter calls those without building a tuple or a frame.

#![forbid(unsafe_code)]

use crate::{CPython, Raised, Site, code_id};
use monitrace_core::{ByteOffset, Callback, Event, Firing, Location, Payload, Reply};
use pyo3::prelude::*;
use pyo3::types::PyModule;
use std::sync::Arc;

/// What `sys.monitoring` says by identity.
pub(super) struct Words {
    pub(super) disable: Py<PyAny>,
    pub(super) missing: Py<PyAny>,
}

impl Words {
    pub(super) fn new(monitoring: &Bound<'_, PyModule>) -> PyResult<Words> {
        Ok(Words {
            disable: monitoring.getattr("DISABLE")?.unbind(),
            missing: monitoring.getattr("MISSING")?.unbind(),
        })
    }

    pub(super) fn answer(&self, py: Python<'_>, reply: Reply) -> Py<PyAny> {
        match reply {
            Reply::Continue => py.None(),
            Reply::Disable => self.disable.clone_ref(py),
        }
    }
}

/// Tells a callback of an event. `position` is the callable's second argument as it came.
pub(super) fn tell(
    callback: &dyn Callback<CPython>,
    event: Event,
    code: &Bound<'_, PyAny>,
    position: &Bound<'_, PyAny>,
    payload: Payload<'_, Py<PyAny>>,
) -> PyResult<Reply> {
    // LINE comes without an offset: its location is the code object's beginning.
    let offset = match payload {
        Payload::Line(_) => ByteOffset(0),
        _ => ByteOffset(position.extract()?),
    };
    let site = Site { code: code.clone().unbind(), position: position.clone().unbind() };
    let location = Location { code: code_id(code)?, offset };
    callback.call(&Firing { event, location, code: &site, payload }).map_err(|Raised(error)| error)
}

/// Listens to one event for one tool.
#[pyclass(frozen, module = "monitrace._native")]
pub(super) struct Listener {
    event: Event,
    callback: Arc<dyn Callback<CPython>>,
    words: Words,
}

impl Listener {
    pub(super) fn new(
        monitoring: &Bound<'_, PyModule>,
        event: Event,
        callback: Arc<dyn Callback<CPython>>,
    ) -> PyResult<Listener> {
        Ok(Listener { event, callback, words: Words::new(monitoring)? })
    }

    /// The method that takes the arguments of its event.
    pub(super) fn callable(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let name = match self.event {
            Event::PyStart | Event::PyResume | Event::Instruction => "place",
            Event::Line => "line",
            Event::Jump | Event::BranchLeft | Event::BranchRight => "destination",
            Event::Call | Event::CReturn | Event::CRaise => "call",
            Event::PyReturn | Event::PyYield => "value",
            Event::StopIteration
            | Event::Raise
            | Event::ExceptionHandled
            | Event::PyUnwind
            | Event::PyThrow
            | Event::Reraise => "exception",
        };
        Bound::new(py, self)?.getattr(name)
    }

    fn tell(
        &self,
        code: &Bound<'_, PyAny>,
        position: &Bound<'_, PyAny>,
        payload: Payload<'_, Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let reply = tell(&*self.callback, self.event, code, position, payload)?;
        Ok(self.words.answer(code.py(), reply))
    }
}

#[pymethods]
impl Listener {
    #[pyo3(signature = (code, offset, /))]
    fn place(&self, code: &Bound<'_, PyAny>, offset: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.tell(code, offset, Payload::None)
    }

    #[pyo3(signature = (code, line, /))]
    fn line(&self, code: &Bound<'_, PyAny>, line: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.tell(code, line, Payload::Line(line.extract()?))
    }

    #[pyo3(signature = (code, offset, value, /))]
    fn value(
        &self,
        code: &Bound<'_, PyAny>,
        offset: &Bound<'_, PyAny>,
        value: Py<PyAny>,
    ) -> PyResult<Py<PyAny>> {
        self.tell(code, offset, Payload::Value(&value))
    }

    #[pyo3(signature = (code, offset, exception, /))]
    fn exception(
        &self,
        code: &Bound<'_, PyAny>,
        offset: &Bound<'_, PyAny>,
        exception: Py<PyAny>,
    ) -> PyResult<Py<PyAny>> {
        self.tell(code, offset, Payload::Exception(&exception))
    }

    #[pyo3(signature = (code, offset, callable, arg0, /))]
    fn call(
        &self,
        code: &Bound<'_, PyAny>,
        offset: &Bound<'_, PyAny>,
        callable: Py<PyAny>,
        arg0: Py<PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let arg0 = (!arg0.is(&self.words.missing)).then_some(&arg0);
        self.tell(code, offset, Payload::Call { callable: &callable, arg0 })
    }

    #[pyo3(signature = (code, offset, destination, /))]
    fn destination(
        &self,
        code: &Bound<'_, PyAny>,
        offset: &Bound<'_, PyAny>,
        destination: u32,
    ) -> PyResult<Py<PyAny>> {
        self.tell(code, offset, Payload::Destination(ByteOffset(destination)))
    }
}
