//! Native tools over the interpreter that this was built for, whichever way it makes events.

use monitrace_core::{Callback, Event, EventSet, Firing, Host, Payload, Reply, Tool};
use monitrace_cpython::{CPython, Raised, attach, event_ids, install};
use pyo3::prelude::*;
use std::ffi::CStr;
use std::sync::{Arc, Mutex, PoisonError};

/// Tool ids and events belong to the process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Notes the events of code in `<program>`, and answers what it was made with.
struct Notes {
    reply: Reply,
    told: Mutex<Vec<(Event, String, Option<u32>)>>,
}

impl Notes {
    fn new(reply: Reply) -> Arc<Notes> {
        Arc::new(Notes { reply, told: Mutex::default() })
    }

    fn tool(self: &Arc<Notes>, events: EventSet) -> Tool<CPython> {
        events.events().fold(Tool::new("notes"), |tool, event| {
            tool.on(event, Arc::clone(self) as Arc<dyn Callback<CPython>>)
        })
    }

    fn take(&self) -> Vec<(Event, String, Option<u32>)> {
        std::mem::take(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn lines(&self) -> Vec<u32> {
        self.take().into_iter().filter_map(|(_, _, line)| line).collect()
    }
}

impl Callback<CPython> for Notes {
    fn call(&self, firing: &Firing<'_, CPython>) -> Result<Reply, Raised> {
        let info = CPython.describe(firing.code);
        if info.file != "<program>" {
            return Ok(Reply::Continue);
        }
        let line = match firing.payload {
            Payload::Line(line) => Some(line),
            _ => CPython.line(firing.code, firing.offset),
        };
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push((
            firing.event,
            info.qualified_name,
            line,
        ));
        Ok(self.reply)
    }
}

fn run(py: Python<'_>, source: &CStr) -> PyResult<()> {
    let code = py
        .import("builtins")?
        .call_method1("compile", (source.to_str().expect("UTF-8"), "<program>", "exec"))?;
    let globals = pyo3::types::PyDict::new(py);
    py.import("builtins")?.call_method1("exec", (code, globals)).map(drop)
}

const LOOP: &CStr = c"def f():
    x = 1
    return x

for _ in 1, 2:
    f()
";

fn with_python(test: impl FnOnce(Python<'_>) -> PyResult<()>) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    Python::attach(|py| test(py).inspect_err(|error| error.print(py))).expect("no Python code raised");
}

#[test]
fn the_table_of_ids_is_the_interpreters() {
    with_python(|py| {
        let events = install(py)?.getattr("events")?;
        for &event in Event::ALL {
            assert_eq!(events.getattr(event.name())?.extract::<u32>()?, event_ids::bit(event), "{event}");
            assert_eq!(event_ids::set(event_ids::bit(event)), Some(event.set()));
        }
        assert_eq!(events.getattr("BRANCH")?.extract::<u32>()?, event_ids::BRANCH);
        assert_eq!(event_ids::set(event_ids::BRANCH), Some(EventSet::BRANCH));
        assert_eq!(event_ids::set(event_ids::bits(EventSet::all())), Some(EventSet::all()));
        assert_eq!(event_ids::set(1 << 31), None);
        Ok(())
    });
}

#[test]
fn a_tool_is_told_until_it_is_detached() {
    with_python(|py| {
        let notes = Notes::new(Reply::Continue);
        let handle = attach(py, notes.tool(EventSet::LINE | EventSet::PY_START | EventSet::PY_RETURN))?;
        run(py, LOOP)?;
        let told = notes.take();
        let of_f: Vec<_> =
            told.iter().filter(|(_, name, _)| name == "f").map(|(event, _, _)| *event).collect();
        let once = [Event::PyStart, Event::Line, Event::Line, Event::PyReturn];
        assert_eq!(of_f, [once, once].concat());
        let owner = install(py)?.call_method1("get_tool", (2,))?.extract::<Option<String>>()?;
        assert_eq!(owner.as_deref(), Some("notes"));
        handle.detach(py)?;
        assert!(install(py)?.call_method1("get_tool", (2,))?.is_none());
        run(py, LOOP)?;
        assert_eq!(notes.take(), []);
        Ok(())
    });
}

#[test]
fn a_disabled_location_is_not_told_of_until_the_restart() {
    with_python(|py| {
        let notes = Notes::new(Reply::Disable);
        let handle = attach(py, notes.tool(EventSet::LINE))?;
        // All in one code object: another would have its own locations. Of a loop's first line there
        // are two: before it and in it.
        let source = c"for _ in 1, 2, 3:
    x = 1
restart()
for _ in 1, 2, 3:
    x = 1
";
        let restart = install(py)?.getattr("restart_events")?;
        py.import("builtins")?.setattr("restart", restart)?;
        run(py, source)?;
        let lines = notes.lines();
        handle.detach(py)?;
        let (before, after) =
            lines.split_at(lines.iter().position(|&line| line == 3).expect("it is reached"));
        assert_eq!(before, [1, 2, 1]);
        assert_eq!(after, [3, 4, 5, 4]);
        Ok(())
    });
}

#[test]
fn an_error_of_a_callback_comes_out_of_the_program() {
    with_python(|py| {
        let fails = |firing: &Firing<'_, CPython>| -> Result<Reply, Raised> {
            if CPython.describe(firing.code).qualified_name != "f" {
                return Ok(Reply::Continue);
            }
            Err(pyo3::exceptions::PyLookupError::new_err("from the callback").into())
        };
        let handle = attach(py, Tool::new("fails").on(Event::Line, Arc::new(fails)))?;
        let error = run(py, LOOP).expect_err("the callback fails");
        handle.detach(py)?;
        assert!(error.is_instance_of::<pyo3::exceptions::PyLookupError>(py), "{error}");
        run(py, LOOP)
    });
}

#[test]
#[cfg(Py_3_12)]
fn each_side_of_a_branch_has_its_own_callback_and_can_be_disabled() {
    with_python(|py| {
        let (left, right) = (Notes::new(Reply::Disable), Notes::new(Reply::Continue));
        let tool = Tool::new("sides")
            .on(Event::BranchLeft, Arc::clone(&left) as Arc<dyn Callback<CPython>>)
            .on(Event::BranchRight, Arc::clone(&right) as Arc<dyn Callback<CPython>>);
        let handle = attach(py, tool)?;
        // The inner loop goes on twice and ends once, twice over.
        run(py, c"for _ in 1, 2:\n    for _ in 1, 2:\n        pass\n")?;
        handle.detach(py)?;
        let (left, right) = (left.take(), right.take());
        assert!(left.iter().all(|(event, _, _)| *event == Event::BranchLeft));
        assert!(right.iter().all(|(event, _, _)| *event == Event::BranchRight));
        assert_eq!((left.len(), right.len()), (2, 2 + 1));

        // A restart brings back a side that was disabled alone.
        let left = Notes::new(Reply::Disable);
        let tool = Tool::new("sides")
            .on(Event::BranchLeft, Arc::clone(&left) as Arc<dyn Callback<CPython>>)
            .on(Event::BranchRight, Notes::new(Reply::Continue));
        let handle = attach(py, tool)?;
        run(
            py,
            c"import sys
for i in range(4):
    if i == 2:
        sys.monitoring.restart_events()
",
        )?;
        handle.detach(py)?;
        let lines: Vec<_> = left.take().into_iter().filter_map(|(_, _, line)| line).collect();
        // The condition goes left when it is false, to the jump back.
        assert_eq!(lines, [2, 3, 2, 3]);

        let both = Notes::new(Reply::Disable);
        let handle = attach(py, both.tool(EventSet::BRANCH))?;
        run(py, c"for _ in 1, 2, 3:\n    for _ in 1, 2:\n        pass\n")?;
        handle.detach(py)?;
        let inner = both.take().iter().filter(|(_, _, line)| *line == Some(2)).count();
        assert!(inner <= 3, "both sides were disabled by the end of the first round: {inner}");
        Ok(())
    });
}
