//! 3.12 and later: what `install` puts into `sys.monitoring`. Everywhere `set_local_events` and
//! `get_local_events` that take code-likes too; on 3.12 and 3.13 also what `topup` has.
//!
//! Code objects go to the interpreter's functions, and so do arguments that are wrong: its words are
//! the interpreter's. Nothing else of the module is changed.

#![forbid(unsafe_code)]

use super::own;
#[cfg(not(Py_3_14))]
use super::topup::{self, of_code};
use crate::{event_ids, producer};
use monitrace_core::{EventSet, ToolId};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCode, PyDict, PyInt, PyModule, PyTuple};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Puts our functions in place. Twice is once.
pub(super) fn install(monitoring: &Bound<'_, PyModule>) -> PyResult<()> {
    if INSTALLED.swap(true, Relaxed) {
        return Ok(());
    }
    #[cfg(not(Py_3_14))]
    topup::install(monitoring)?;
    own::replace(monitoring, "set_local_events", wrap_pyfunction!(set_local_events, monitoring)?.as_any())?;
    own::replace(monitoring, "get_local_events", wrap_pyfunction!(get_local_events, monitoring)?.as_any())
}

/// Puts the interpreter's own functions back.
///
/// # Errors
/// `RuntimeError` naming the tools that use what would be taken away.
pub(super) fn uninstall(monitoring: &Bound<'_, PyModule>) -> PyResult<()> {
    if !INSTALLED.load(Relaxed) {
        return Ok(());
    }
    #[cfg(not(Py_3_14))]
    topup::check_unused(monitoring.py())?;
    INSTALLED.store(false, Relaxed);
    #[cfg(not(Py_3_14))]
    topup::uninstall(monitoring)?;
    own::restore(monitoring, "set_local_events")?;
    own::restore(monitoring, "get_local_events")
}

/// A code object of nobody, for which the interpreter looks at the other arguments.
fn nobody(py: Python<'_>) -> PyResult<&Py<PyAny>> {
    static NOBODY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    NOBODY.get_or_try_init(py, || {
        Ok(py.import("builtins")?.call_method1("compile", ("", "<monitrace>", "exec"))?.unbind())
    })
}

/// The code-like among the arguments, if there is one where a code object is expected.
fn code_like<'py>(
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
    count: usize,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if args.len() != count || kwargs.is_some_and(|kwargs| !kwargs.is_empty()) {
        return Ok(None);
    }
    let code = args.get_item(1)?;
    if code.is_instance_of::<PyCode>() || producer::check(&code).is_err() {
        return Ok(None);
    }
    Ok(Some(code))
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, code, event_set, /)")]
fn set_local_events(
    py: Python<'_>,
    args: Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    let Some(code) = code_like(&args, kwargs, 3)? else {
        return of_code::set_local_events(py, args, kwargs);
    };
    let (tool, bits) = (args.get_item(0)?, args.get_item(2)?);
    for bits in [&bits, PyInt::new(py, 0).as_any()] {
        let args = PyTuple::new(py, [&tool, nobody(py)?.bind(py), bits])?;
        of_code::set_local_events(py, args, None)?;
    }
    let ancillary = EventSet::C_RETURN | EventSet::C_RAISE;
    let events = event_ids::set(bits.extract()?).unwrap_or_default() - ancillary;
    let tool = known_tool(tool.extract()?)?;
    marks::check(py)?;
    producer::set_local_events(&code, tool, events)?;
    marks::set(py, tool)
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, code, /)")]
fn get_local_events(
    py: Python<'_>,
    args: Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<u32> {
    let Some(code) = code_like(&args, kwargs, 2)? else {
        return of_code::get_local_events(py, args, kwargs);
    };
    let tool = args.get_item(0)?;
    own::call(py, intern!(py, "get_local_events"), (&tool, nobody(py)?))?;
    let tool = known_tool(tool.extract()?)?;
    marks::check(py)?;
    Ok(native_bits(producer::local_events(&code, tool)))
}

/// Of code objects, and of what is none: the interpreter's own.
#[cfg(Py_3_14)]
mod of_code {
    use super::*;

    pub(super) fn set_local_events(
        py: Python<'_>,
        args: Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        own::function(py, intern!(py, "set_local_events"))?.call(args, kwargs).map(drop)
    }

    pub(super) fn get_local_events(
        py: Python<'_>,
        args: Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<u32> {
        own::function(py, intern!(py, "get_local_events"))?.call(args, kwargs)?.extract()
    }
}

/// The interpreter has looked at the number already.
fn known_tool(number: i64) -> PyResult<ToolId> {
    ToolId::new(number).map_err(|error| crate::Raised::from(error).0)
}

/// The bits by which the interpreter would tell of a set.
fn native_bits(events: EventSet) -> u32 {
    if !event_ids::HAS_BRANCH_SIDES && events.contains(EventSet::BRANCH) {
        return event_ids::bits(events - EventSet::BRANCH) | event_ids::BRANCH;
    }
    event_ids::bits(events)
}

/// Brings the local events of code-likes in line with the tools that there are.
#[cfg(Py_3_13)]
pub(super) fn check_tools(py: Python<'_>) -> PyResult<()> {
    marks::check(py)
}

/// 3.14 and later: finding out that a tool was cleared or freed, for which there is no other way.
///
/// The interpreter forgets the local events of such a tool when it looks at their code object again.
/// So each tool with events of code-likes has one event set on a code object of its own, which never
/// runs, its mark: it is made to be looked at by changing the events of another tool there.
#[cfg(Py_3_14)]
mod marks {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::sync::{Mutex, PoisonError};

    static MARKS: [Mutex<Option<Py<PyAny>>>; ToolId::COUNT] = [const { Mutex::new(None) }; ToolId::COUNT];
    const MARKED: u32 = event_ids::bit(monitrace_core::Event::Jump);

    fn mark(py: Python<'_>, tool: ToolId) -> Option<Py<PyAny>> {
        let mark = MARKS[tool.index()].lock().unwrap_or_else(PoisonError::into_inner);
        mark.as_ref().map(|mark| mark.clone_ref(py))
    }

    /// The tool has set local events of a code-like.
    pub(super) fn set(py: Python<'_>, tool: ToolId) -> PyResult<()> {
        let code = match mark(py, tool) {
            Some(code) => code,
            None => {
                let builtins = py.import("builtins")?;
                builtins.call_method1("compile", ("", "<monitrace>", "exec"))?.unbind()
            }
        };
        own::call(py, intern!(py, "set_local_events"), (tool.index(), &code, MARKED))?;
        *MARKS[tool.index()].lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
        Ok(())
    }

    /// The interpreter's version when the marks were looked at last. Clearing a tool moves it; so does
    /// looking, which must not be done again for that alone.
    static CHECKED: AtomicU64 = AtomicU64::new(0);

    /// Forgets what tools wanted of code-likes that were cleared since.
    pub(super) fn check(py: Python<'_>) -> PyResult<()> {
        if crate::native::producer::configuration_version(py) != CHECKED.load(Relaxed) {
            for tool in ToolId::all() {
                check_tool(py, tool)?;
            }
            CHECKED.store(crate::native::producer::configuration_version(py), Relaxed);
        }
        Ok(())
    }

    fn check_tool(py: Python<'_>, tool: ToolId) -> PyResult<()> {
        let Some(code) = mark(py, tool) else { return Ok(()) };
        let is_free = |id: ToolId| -> PyResult<bool> {
            Ok(own::call(py, intern!(py, "get_tool"), (id.index(),))?.is_none())
        };
        let mut gone = is_free(tool)?;
        if !gone {
            let mut other = None;
            for id in ToolId::all().filter(|&id| id != tool) {
                let free = is_free(id)?;
                other = Some((id, free));
                if !free {
                    break;
                }
            }
            if let Some((id, free)) = other {
                if free {
                    own::call(py, intern!(py, "use_tool_id"), (id.index(), "monitrace"))?;
                }
                for bits in [MARKED, 0] {
                    own::call(py, intern!(py, "set_local_events"), (id.index(), &code, bits))?;
                }
                if free {
                    own::call(py, intern!(py, "free_tool_id"), (id.index(),))?;
                }
            }
            let left: u32 =
                own::call(py, intern!(py, "get_local_events"), (tool.index(), &code))?.extract()?;
            gone = left == 0;
        }
        if gone {
            let mark = MARKS[tool.index()].lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(mark);
            producer::clear(tool);
        }
        Ok(())
    }
}

/// 3.12 and 3.13: our `free_tool_id` and `clear_tool_id` tell.
#[cfg(not(Py_3_14))]
mod marks {
    use super::*;

    pub(super) fn set(_py: Python<'_>, _tool: ToolId) -> PyResult<()> {
        Ok(())
    }

    pub(super) fn check(_py: Python<'_>) -> PyResult<()> {
        Ok(())
    }
}
