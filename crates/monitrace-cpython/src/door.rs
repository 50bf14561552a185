//! The one door to events, whichever way this interpreter makes them: attaching native tools, and
//! making `sys.monitoring` complete. It decides nothing but which way, and refuses what the
//! project was not made for.

use crate::CPython;
#[cfg(not(Py_3_12))]
use crate::instrument as way;
#[cfg(Py_3_12)]
use crate::native as way;
use monitrace_core::{Tool, ToolId};
use pyo3::exceptions::{PyImportError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyModule, PySlice};

/// A native tool that is attached to this interpreter. It stays attached when this is dropped.
pub struct ToolHandle(way::Attached);

impl ToolHandle {
    /// Takes the tool off again: its callbacks are not called any more, its id is free.
    ///
    /// # Errors
    /// Whatever the interpreter raises.
    pub fn detach(self, py: Python<'_>) -> PyResult<()> {
        self.0.detach(py)
    }
}

/// Attaches a native tool under a free id, that of profilers if it can be had.
///
/// # Errors
/// `RuntimeError` if all six tool ids are taken; `ImportError` as for [`install`].
pub fn attach(py: Python<'_>, tool: Tool<CPython>) -> PyResult<ToolHandle> {
    check_supported(py)?;
    crate::summary::prepare(py)?;
    way::attach(py, tool).map(ToolHandle)
}

/// The id under which a native tool is attached: the profilers' if it is free, then one without a
/// conventional owner, then any. `owner` tells the name of the tool that has an id.
///
/// # Errors
/// `RuntimeError` naming all six tools if none is free; whatever `owner` raises.
pub(crate) fn free_id(
    name: &str,
    mut owner: impl FnMut(ToolId) -> PyResult<Option<String>>,
) -> PyResult<ToolId> {
    let owned = [ToolId::OPTIMIZER, ToolId::COVERAGE, ToolId::DEBUGGER];
    let others = ToolId::all().filter(|id| *id != ToolId::PROFILER && !owned.contains(id));
    let mut owners = Vec::new();
    for id in [ToolId::PROFILER].into_iter().chain(others).chain(owned) {
        match owner(id)? {
            None => return Ok(id),
            Some(owner) => owners.push((id, owner)),
        }
    }
    owners.sort_by_key(|(id, _)| *id);
    let owners: Vec<String> = owners.into_iter().map(|(_, owner)| owner).collect();
    Err(PyRuntimeError::new_err(format!("no tool id is free for {name:?}: in use by {}", owners.join(", "))))
}

/// Makes `sys.monitoring` complete in this process and returns it. Twice is once. On 3.12 and
/// later it is the interpreter's own, with those functions replaced that do less than documented.
///
/// # Errors
/// `ImportError` with the reason, for an interpreter that this was not made for.
pub fn install(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    check_supported(py)?;
    way::install(py)
}

/// Puts back what [`install`] changed.
///
/// # Errors
/// `RuntimeError` naming the tools that are in use; from 3.12 on only those that use what was added.
pub fn uninstall(py: Python<'_>) -> PyResult<()> {
    way::uninstall(py)
}

/// `sys.monitoring`, or a module over the same tools where that is not installed.
///
/// # Errors
/// As for [`install`].
pub fn monitoring(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    check_supported(py)?;
    way::monitoring(py)
}

fn check_supported(py: Python<'_>) -> PyResult<()> {
    let refuse = |reason: &str| Err(PyImportError::new_err(format!("monitrace does not support {reason}")));
    let sys = py.import("sys")?;
    let implementation: String = sys.getattr("implementation")?.getattr("name")?.extract()?;
    if implementation != "cpython" {
        return refuse(&format!("the implementation {implementation}, only cpython"));
    }
    let (major, minor): (u8, u8) =
        sys.getattr("version_info")?.get_item(PySlice::new(py, 0, 2, 1))?.extract()?;
    if !matches!((major, minor), (3, 11..=15)) {
        return refuse(&format!("Python {major}.{minor}, only 3.11 to 3.15"));
    }
    if cfg!(Py_GIL_DISABLED) {
        return refuse("free-threaded builds");
    }
    if cfg!(py_sys_config = "Py_DEBUG") || sys.hasattr("gettotalrefcount")? {
        return refuse("debug builds");
    }
    if !is_main_interpreter(py)? {
        return refuse("subinterpreters");
    }
    Ok(())
}

/// The module that numbers interpreters changed its name in 3.13; its answer grew in 3.13 too.
fn is_main_interpreter(py: Python<'_>) -> PyResult<bool> {
    let name = if cfg!(Py_3_13) { "_interpreters" } else { "_xxsubinterpreters" };
    let Ok(interpreters) = py.import(name) else {
        // Built without it, there is but one.
        return Ok(true);
    };
    let current = interpreters.call_method0("get_current")?;
    let main = interpreters.call_method0("get_main")?;
    current.eq(main)
}
