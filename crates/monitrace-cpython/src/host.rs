//! CPython as the engine's host: its types, and what is read from them for people.

use crate::code_ids;
use monitrace_core::{ByteOffset, Change, CodeId, CodeInfo, Host, Monitor, MonitorError};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::cell::OnceCell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where an event happens, as Python sees it.
#[repr(C)]
pub struct Site {
    /// The code object that the program knows, never a rewritten copy.
    pub code: Py<PyAny>,
    /// The second argument of callbacks, boxed once: the line for `LINE`, else the byte offset. Empty
    /// until a callback in Python asks, where an event is told of once.
    pub position: OnceCell<Py<PyAny>>,
    /// The code object's number, where it is known already; [`Host::code_id`] finds it where not.
    pub id: Option<CodeId>,
    /// The third argument of `JUMP` and the branches as it came, if it came as an object.
    pub destination: Option<Py<PyAny>>,
}

/// A Python exception on its way through the engine.
#[derive(Debug)]
pub struct Raised(pub PyErr);

impl From<MonitorError> for Raised {
    fn from(error: MonitorError) -> Raised {
        Raised(PyValueError::new_err(error.to_string()))
    }
}

impl From<PyErr> for Raised {
    fn from(error: PyErr) -> Raised {
        Raised(error)
    }
}

impl From<Raised> for PyErr {
    fn from(raised: Raised) -> PyErr {
        raised.0
    }
}

/// The interpreter of this process.
#[derive(Debug, Default)]
pub struct CPython;

impl CPython {
    /// A name of a code object: always a string, but perhaps not one that UTF-8 can hold.
    fn name(code: &Bound<'_, PyAny>, attribute: &str) -> String {
        code.getattr(attribute)
            .and_then(|name| Ok(name.cast_into::<PyString>()?.to_string_lossy().into_owned()))
            .unwrap_or_default()
    }
}

impl Host for CPython {
    type Code = Site;
    type Value = Py<PyAny>;
    type Error = Raised;
    #[cfg(not(Py_3_12))]
    type Quiet = crate::instrument::Quiet;
    #[cfg(Py_3_12)]
    type Quiet = ();
    #[cfg(not(Py_3_12))]
    type Slot = crate::instrument::Slot;
    /// Not used: the interpreter keeps the callbacks.
    #[cfg(Py_3_12)]
    type Slot = monitrace_core::SharedSlot<Self>;

    #[cfg(not(Py_3_12))]
    fn quiet(&self) -> Option<Self::Quiet> {
        crate::instrument::quiet()
    }

    /// The interpreter itself mutes the thread of a callback.
    #[cfg(Py_3_12)]
    fn quiet(&self) -> Option<()> {
        Some(())
    }

    fn refresh(&self, monitor: &Monitor<Self>, change: Change) {
        #[cfg(not(Py_3_12))]
        crate::instrument::refresh(monitor, change);
        #[cfg(Py_3_12)]
        let _ = (monitor, change);
    }

    fn code_id(&self, site: &Site) -> CodeId {
        site.id.unwrap_or_else(|| Python::attach(|py| code_ids::code_id(site.code.bind(py))))
    }

    fn describe(&self, site: &Site) -> CodeInfo {
        Python::attach(|py| {
            let code = site.code.bind(py);
            CodeInfo {
                qualified_name: Self::name(code, "co_qualname"),
                file: Self::name(code, "co_filename"),
                first_line: code
                    .getattr("co_firstlineno")
                    .and_then(|line| line.extract())
                    .unwrap_or_default(),
            }
        })
    }

    fn line(&self, site: &Site, offset: ByteOffset) -> Option<u32> {
        Python::attach(|py| {
            let ranges = site.code.bind(py).call_method0("co_lines").ok()?;
            for range in ranges.try_iter().ok()? {
                let (start, end, line): (u32, u32, Option<u32>) = range.ok()?.extract().ok()?;
                if (start..end).contains(&offset.0) {
                    return line;
                }
            }
            None
        })
    }

    fn summarize(&self, value: &Py<PyAny>, out: &mut dyn fmt::Write) -> fmt::Result {
        Python::attach(|py| crate::summary::summarize(value.bind(py), out))
    }

    fn thread(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        thread_local!(static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed));
        NUMBER.with(|number| *number)
    }
}
