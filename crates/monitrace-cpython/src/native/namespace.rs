//! 3.12 and later: what `install` puts into `sys.monitoring`: `set_local_events` and
//! `get_local_events` that take code-likes too. On 3.12 and 3.13 `free_tool_id` as well, for it has to
//! tell that a tool is gone.
//!
//! Code objects go straight to the interpreter's functions, and so does every argument that is wrong:
//! its words are the interpreter's. Nothing else of the module is changed.

#![forbid(unsafe_code)]

use crate::{event_ids, producer};
use monitrace_core::{EventSet, ToolId};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCode, PyDict, PyModule, PyTuple};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The interpreter's own functions.
struct Natives {
    set_local_events: Py<PyAny>,
    get_local_events: Py<PyAny>,
    #[cfg(not(Py_3_14))]
    free_tool_id: Py<PyAny>,
    /// A code object of nobody, for which the interpreter looks at the other arguments.
    nobody: Py<PyAny>,
}

static NATIVES: PyOnceLock<Natives> = PyOnceLock::new();

static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Puts our functions in place. Twice is once.
pub(super) fn install(monitoring: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = monitoring.py();
    if INSTALLED.swap(true, Relaxed) {
        return Ok(());
    }
    NATIVES.get_or_try_init(py, || -> PyResult<Natives> {
        let nobody = py.import("builtins")?.call_method1("compile", ("", "<monitrace>", "exec"))?;
        Ok(Natives {
            set_local_events: monitoring.getattr("set_local_events")?.unbind(),
            get_local_events: monitoring.getattr("get_local_events")?.unbind(),
            #[cfg(not(Py_3_14))]
            free_tool_id: monitoring.getattr("free_tool_id")?.unbind(),
            nobody: nobody.unbind(),
        })
    })?;
    monitoring.setattr("set_local_events", wrap_pyfunction!(set_local_events, py)?)?;
    monitoring.setattr("get_local_events", wrap_pyfunction!(get_local_events, py)?)?;
    #[cfg(not(Py_3_14))]
    monitoring.setattr("free_tool_id", wrap_pyfunction!(free_tool_id, py)?)?;
    Ok(())
}

/// Puts the interpreter's own functions back.
pub(super) fn uninstall(monitoring: &Bound<'_, PyModule>) -> PyResult<()> {
    if INSTALLED.swap(false, Relaxed)
        && let Some(natives) = NATIVES.get(monitoring.py())
    {
        monitoring.setattr("set_local_events", &natives.set_local_events)?;
        monitoring.setattr("get_local_events", &natives.get_local_events)?;
        #[cfg(not(Py_3_14))]
        monitoring.setattr("free_tool_id", &natives.free_tool_id)?;
    }
    Ok(())
}

fn natives(py: Python<'_>) -> PyResult<&Natives> {
    NATIVES
        .get(py)
        .ok_or_else(|| pyo3::exceptions::PyRuntimeError::new_err("monitrace.install() was not called"))
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
) -> PyResult<Py<PyAny>> {
    let natives = natives(py)?;
    let Some(code) = code_like(&args, kwargs, 3)? else {
        return natives.set_local_events.call(py, args, kwargs);
    };
    let (tool, bits) = (args.get_item(0)?, args.get_item(2)?);
    natives.set_local_events.call1(py, (&tool, &natives.nobody, &bits))?;
    natives.set_local_events.call1(py, (&tool, &natives.nobody, 0))?;
    let ancillary = EventSet::C_RETURN | EventSet::C_RAISE;
    let events = event_ids::set(bits.extract()?).unwrap_or_default() - ancillary;
    let tool = known_tool(tool.extract()?)?;
    marks::check(py)?;
    producer::set_local_events(&code, tool, events)?;
    marks::set(py, tool)?;
    Ok(py.None())
}

#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, code, /)")]
fn get_local_events(
    py: Python<'_>,
    args: Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<Py<PyAny>> {
    let natives = natives(py)?;
    let Some(code) = code_like(&args, kwargs, 2)? else {
        return natives.get_local_events.call(py, args, kwargs);
    };
    let tool = args.get_item(0)?;
    natives.get_local_events.call1(py, (&tool, &natives.nobody))?;
    let tool = known_tool(tool.extract()?)?;
    marks::check(py)?;
    let events = producer::local_events(&code, tool);
    Ok(native_bits(events).into_pyobject(py)?.into_any().unbind())
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

/// 3.12 and 3.13: a tool that is gone has no local events; its code objects' are the interpreter's
/// affair.
#[cfg(not(Py_3_14))]
#[pyfunction]
#[pyo3(signature = (*args, **kwargs), text_signature = "($module, tool_id, /)")]
fn free_tool_id(
    py: Python<'_>,
    args: Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<Py<PyAny>> {
    let answer = natives(py)?.free_tool_id.call(py, &args, kwargs)?;
    producer::clear(known_tool(args.get_item(0)?.extract()?)?);
    Ok(answer)
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
        natives(py)?.set_local_events.call1(py, (tool.index(), &code, MARKED))?;
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
        let monitoring = super::super::monitoring(py)?;
        let natives = natives(py)?;
        let is_free = |id: ToolId| -> PyResult<bool> {
            Ok(monitoring.call_method1("get_tool", (id.index(),))?.is_none())
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
                    monitoring.call_method1("use_tool_id", (id.index(), "monitrace"))?;
                }
                for bits in [MARKED, 0] {
                    natives.set_local_events.call1(py, (id.index(), &code, bits))?;
                }
                if free {
                    monitoring.call_method1("free_tool_id", (id.index(),))?;
                }
            }
            let left: u32 = natives.get_local_events.call1(py, (tool.index(), &code))?.extract(py)?;
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

/// 3.12 and 3.13: `free_tool_id` tells.
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
