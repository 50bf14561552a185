//! Where the interpreter keeps the callbacks of `sys.monitoring`, found in the interpreter that runs,
//! against the headers that it was built from; and that the search leaves nothing behind.

#![cfg(Py_3_12)]

mod common;

use monitrace_core::{Event, EventSet, ToolId};
use monitrace_cpython::cells::{Cells, searched};
use monitrace_cpython::event_ids;
use monitrace_cpython::quiet::{is_quiet, quiet};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule};
use std::ffi::CStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tool ids and events belong to the process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with_python(test: impl FnOnce(Python<'_>, &Bound<'_, PyModule>) -> PyResult<()>) {
    let _alone = alone();
    Python::attach(|py| {
        let monitoring = py.import("sys")?.getattr("monitoring")?.cast_into::<PyModule>()?;
        test(py, &monitoring).inspect_err(|error| error.print(py))
    })
    .expect("no Python code raised");
}

/// Runs a program that knows `monitoring`, and returns its names.
fn run<'py>(py: Python<'py>, source: &CStr) -> PyResult<Bound<'py, PyDict>> {
    let names = PyDict::new(py);
    names.set_item("monitoring", py.import("sys")?.getattr("monitoring")?)?;
    py.run(source, Some(&names), None)?;
    Ok(names)
}

/// The events whose callbacks are kept as they are registered, by the interpreter's numbers.
fn events() -> impl Iterator<Item = u8> {
    let events = EventSet::all() - EventSet::BRANCH;
    events.events().map(|event| event_ids::bit(event).trailing_zeros() as u8)
}

/// Every tool's name, events and callbacks, read without the code under test.
fn everything<'py>(monitoring: &Bound<'py, PyModule>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let mut all = Vec::new();
    for tool in 0..ToolId::COUNT {
        all.push(monitoring.call_method1("get_tool", (tool,))?);
        all.push(monitoring.call_method1("get_events", (tool,))?);
        for event in events() {
            let none = monitoring.py().None();
            let callback = monitoring.call_method1("register_callback", (tool, 1 << event, none))?;
            monitoring.call_method1("register_callback", (tool, 1 << event, &callback))?;
            all.push(callback);
        }
    }
    Ok(all)
}

fn same(before: &[Bound<'_, PyAny>], after: &[Bound<'_, PyAny>]) -> PyResult<bool> {
    for (before, after) in before.iter().zip(after) {
        if !before.is(after) && !before.eq(after)? {
            return Ok(false);
        }
    }
    Ok(before.len() == after.len())
}

#[test]
fn they_are_where_the_headers_put_them() {
    let version = if cfg!(Py_3_13) { "0" } else { "offsetof(PyInterpreterState, monitoring_version)" };
    let program = format!(
        "#define Py_BUILD_CORE 1\n#include <Python.h>\n#include <internal/pycore_interp.h>\n\
         #include <stddef.h>\n#include <stdio.h>\n\
         #define TABLE(I) (((PyInterpreterState *)0)->monitoring_callables I)\n\
         int main(void) {{ printf(\"%zu %zu %zu %zu %zu\", sizeof(PyInterpreterState), \
         offsetof(PyInterpreterState, monitoring_callables), sizeof(TABLE()), sizeof(TABLE([0])), \
         (size_t)({version})); return 0; }}\n"
    );
    let told = {
        // It imports, which other tests would be told of.
        let _alone = alone();
        common::told_by_c("cells", &program)
    };
    let told: Vec<usize> = told.split(' ').map(|number| number.parse().expect("a number")).collect();
    let [state, table, table_size, tool_size, version] = told[..] else { panic!("five numbers: {told:?}") };
    let searched = searched().expect("the interpreter says how long its state is");
    // The interpreter says it itself from 3.13 on; its own compiler had options that the headers do not
    // tell.
    let excess = if cfg!(Py_3_13) { 64 } else { 0 };
    assert!(searched <= state + excess, "the search stays within {state} bytes: {searched}");
    assert!(searched >= table + table_size, "the search reaches the end of the table: {searched}");
    #[cfg(Py_3_13)]
    assert!(searched + excess >= state, "the search sees all of {state} bytes: {searched}");
    assert_eq!(tool_size, event_ids::COUNT * size_of::<usize>());
    with_python(|py, _| {
        assert_eq!(Cells::find(py)?.offset(), table);
        assert_eq!(Cells::search(py)?, *Cells::find(py)?);
        #[cfg(not(Py_3_13))]
        assert_eq!(Cells::find(py)?.version_offset(), version);
        #[cfg(Py_3_13)]
        assert_eq!(version, 0);
        Ok(())
    });
}

#[test]
fn callbacks_are_read_back_and_taken() {
    with_python(|py, monitoring| {
        let cells = Cells::find(py)?;
        let object = py.import("builtins")?.getattr("object")?;
        for tool in ToolId::all() {
            for event in events() {
                assert!(cells.callback(py, tool, event).is_none());
                let callback = object.call0()?;
                let arguments = (tool.index(), 1 << event, &callback);
                monitoring.call_method1("register_callback", arguments)?;
                assert!(cells.callback(py, tool, event).is_some_and(|found| found.is(&callback)));
                assert!(cells.take(py, tool, event)?.is_some_and(|taken| taken.is(&callback)));
                assert!(cells.callback(py, tool, event).is_none());
                assert!(cells.take(py, tool, event)?.is_none());
            }
            assert!(cells.callback(py, tool, event_ids::COUNT as u8).is_none());
            assert!(cells.callback(py, tool, u8::MAX).is_none());
            assert!(cells.take(py, tool, u8::MAX).is_err());
        }
        Ok(())
    });
}

/// Takes all six ids, with callbacks that count, and switches events on; `undo` ends that.
const ALL_IN_USE: &CStr = c"
def callback(tool, event):
    def called(*arguments):
        calls.append((tool, event))
    return called

calls = []
bits = [getattr(monitoring.events, name) for name in dir(monitoring.events) if name.isupper()]
bits = [bit for bit in bits if bit and bit != monitoring.events.BRANCH]
free = [tool for tool in range(6) if monitoring.get_tool(tool) is None]
for tool in free:
    monitoring.use_tool_id(tool, f'tool {tool}')
    for bit in bits:
        monitoring.register_callback(tool, bit, callback(tool, bit))
    # One has the event that is used for finding the version.
    monitoring.set_events(tool, monitoring.events.PY_START | (tool == 0 and monitoring.events.PY_THROW))

def undo():
    for tool in free:
        monitoring.set_events(tool, 0)
        for bit in bits:
            monitoring.register_callback(tool, bit, None)
        monitoring.free_tool_id(tool)
";

#[test]
fn the_search_leaves_nothing_behind() {
    with_python(|py, monitoring| {
        let cells = *Cells::find(py)?;
        let idle = everything(monitoring)?;
        assert_eq!(Cells::search(py)?, cells);
        assert!(same(&idle, &everything(monitoring)?)?);

        let names = run(py, ALL_IN_USE)?;
        let item = |name: &str| Ok::<_, PyErr>(names.get_item(name)?.expect("it is defined"));
        let before = everything(monitoring)?;
        item("calls")?.call_method0("clear")?;
        let found = Cells::search(py);
        let calls = item("calls")?.len()?;
        let same_as_before = same(&before, &everything(monitoring)?)?;
        for (index, event) in events().enumerate() {
            for tool in ToolId::all() {
                let callback = cells.callback(py, tool, event).expect("one is registered");
                assert!(callback.is(&before[tool.index() * (2 + events().count()) + 2 + index]));
            }
        }
        item("undo")?.call0()?;
        assert_eq!(found?, cells);
        assert_eq!(calls, 0, "no callback runs in the search");
        assert!(same_as_before);
        assert!(same(&idle, &everything(monitoring)?)?);
        Ok(())
    });
}

#[test]
fn what_is_disabled_stays_disabled() {
    with_python(|py, _| {
        let names = run(
            py,
            c"
def f():
    pass

def line(code, number):
    if code is f.__code__:
        calls.append(number)
    return monitoring.DISABLE

calls = []
monitoring.use_tool_id(3, 'disables')
monitoring.register_callback(3, monitoring.events.LINE, line)
monitoring.set_events(3, monitoring.events.LINE)
f()

def undo():
    monitoring.set_events(3, 0)
    monitoring.register_callback(3, monitoring.events.LINE, None)
    monitoring.free_tool_id(3)
",
        )?;
        let item = |name: &str| Ok::<_, PyErr>(names.get_item(name)?.expect("it is defined"));
        let first = item("calls")?.len()?;
        let found = Cells::search(py);
        item("f")?.call0()?;
        let second = item("calls")?.len()?;
        item("undo")?.call0()?;
        found?;
        assert_eq!((first, second), (1, 1));
        Ok(())
    });
}

/// An audit hook, which stays for the rest of the process: it calls `hook`.
const HOOK: &CStr = c"
import sys, threading

def quiet(event):
    pass

def audit(event, arguments):
    if event == 'sys.monitoring.register_callback':
        state.seen += 1
        state.hook(state.seen)

def started():
    pass

def in_another_thread(seen):
    thread = threading.Thread(target=started)
    thread.start()
    thread.join()

def fail(seen):
    if seen == 4:
        raise LookupError('from the hook')

def start(code, offset):
    if code is started.__code__:
        calls.append(offset)

class state:
    seen = 0
    hook = quiet

calls = []
sys.addaudithook(audit)

def use():
    monitoring.use_tool_id(0, 'hooked')
    monitoring.register_callback(0, monitoring.events.PY_START, start)
    monitoring.set_events(0, monitoring.events.PY_START)
    state.seen = 0
    state.hook = in_another_thread

def undo():
    state.hook = quiet
    monitoring.set_events(0, 0)
    monitoring.register_callback(0, monitoring.events.PY_START, None)
    monitoring.free_tool_id(0)

def begin_failing():
    state.seen = 0
    state.hook = fail
";

#[test]
fn audit_hooks_neither_disturb_nor_are_disturbed() {
    with_python(|py, monitoring| {
        let cells = *Cells::find(py)?;
        let names = run(py, HOOK)?;
        let item = |name: &str| Ok::<_, PyErr>(names.get_item(name)?.expect("it is defined"));
        let before = everything(monitoring)?;

        // Events of other threads reach their callback in the middle of the search.
        item("use")?.call0()?;
        let found = Cells::search(py);
        let (calls, seen) = (item("calls")?.len()?, item("state")?.getattr("seen")?.extract::<usize>()?);
        item("undo")?.call0()?;
        assert_eq!(found?, cells);
        assert!(seen >= 12, "sentinels are registered and unregistered: {seen}");
        assert_eq!(calls, seen, "each thread's start is told of");

        item("begin_failing")?.call0()?;
        let error = Cells::search(py).expect_err("the hook fails");
        item("state")?.setattr("hook", item("quiet")?)?;
        assert!(error.is_instance_of::<pyo3::exceptions::PyLookupError>(py), "{error}");
        assert!(same(&before, &everything(monitoring)?)?);
        Ok(())
    });
}

#[test]
#[cfg(not(Py_3_13))]
fn the_version_moves_with_the_events() {
    with_python(|py, monitoring| {
        let cells = Cells::find(py)?;
        let address = cells.version_address(py);
        // SAFETY: the interpreter lives, and this thread is attached to it.
        let version = || unsafe { address.read_volatile() };
        monitoring.call_method1("use_tool_id", (4, "versions"))?;
        let mut expected = cells.version(py);
        for event in [Event::PyStart, Event::Line, Event::Raise] {
            assert_eq!((cells.version(py), version()), (expected, expected));
            monitoring.call_method1("set_events", (4, event_ids::bit(event)))?;
            expected += 1;
            assert_eq!((cells.version(py), version()), (expected, expected));
            monitoring.call_method1("set_events", (4, event_ids::bit(event)))?;
        }
        monitoring.call_method1("set_events", (4, 0))?;
        monitoring.call_method0("restart_events")?;
        assert!(version() > expected + 1, "a restart moves it too");
        monitoring.call_method1("free_tool_id", (4,))?;
        Ok(())
    });
}

#[test]
fn a_thread_is_quiet_in_a_callback_and_under_the_guard() {
    with_python(|py, monitoring| {
        #[pyfunction]
        fn ask(py: Python<'_>) -> (bool, bool) {
            (is_quiet(py), quiet(py).is_none())
        }
        let names = run(
            py,
            c"
def f():
    pass

def start(code, offset):
    if code is f.__code__:
        answers.append(ask())

answers = []
",
        )?;
        let item = |name: &str| Ok::<_, PyErr>(names.get_item(name)?.expect("it is defined"));
        names.set_item("ask", wrap_pyfunction!(ask, py)?)?;
        let bit = event_ids::bit(Event::PyStart);
        monitoring.call_method1("use_tool_id", (1, "quiet"))?;
        monitoring.call_method1("register_callback", (1, bit, item("start")?))?;
        monitoring.call_method1("set_events", (1, bit))?;

        assert!(!is_quiet(py));
        item("f")?.call0()?;
        let guard = quiet(py).expect("the thread is not mute");
        assert!(is_quiet(py));
        assert!(quiet(py).is_none());
        item("f")?.call0()?;
        drop(guard);
        assert!(!is_quiet(py));
        item("f")?.call0()?;

        monitoring.call_method1("set_events", (1, 0))?;
        monitoring.call_method1("register_callback", (1, bit, py.None()))?;
        monitoring.call_method1("free_tool_id", (1,))?;
        assert_eq!(item("answers")?.extract::<Vec<(bool, bool)>>()?, [(true, true); 2]);
        Ok(())
    });
}
