//! What a producer that is written with PyO3 gets from its scopes, and what its tools are told. It writes no
//! `unsafe`.

#![forbid(unsafe_code)]

mod common;

use common::{Tool, code_like, with_package};
use monitrace::event::*;
use monitrace::{Entered, Raised, Scope};
use pyo3::exceptions::{
    PyBaseException, PyKeyError, PyOSError, PyStopIteration, PySystemError, PyValueError,
};
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyList, PyString, PyTuple};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

const LOW: u8 = 1;
const HIGH: u8 = 3;

/// All that a function can do.
type All = (
    PyStart,
    PyResume,
    PyReturn,
    PyYield,
    Call,
    Line,
    Jump,
    BranchLeft,
    BranchRight,
    StopIteration,
    Raise,
    ExceptionHandled,
    PyUnwind,
    PyThrow,
    Reraise,
    CReturn,
    CRaise,
);
type Function = Scope<All>;

type Fire = for<'py> fn(&Entered<'_, 'py, All>, &Values<'py>) -> Result<(), Raised<'py>>;

/// What the events carry.
struct Values<'py> {
    text: Bound<'py, PyString>,
    callable: Bound<'py, PyAny>,
    error: PyErr,
}

impl<'py> Values<'py> {
    fn new(py: Python<'py>) -> PyResult<Values<'py>> {
        Ok(Values {
            text: PyString::new(py, "text"),
            callable: py.import("builtins")?.getattr("len")?,
            error: PyKeyError::new_err("key"),
        })
    }
}

/// Each event, and what a callback gets after the code-like.
const EVENTS: [(&str, Fire, &str); 17] = [
    ("PY_START", |e, _| e.py_start(8), "8"),
    ("PY_RESUME", |e, _| e.py_resume(8), "8"),
    ("PY_RETURN", |e, v| e.py_return(8, &v.text), "8, 'text'"),
    ("PY_YIELD", |e, v| e.py_yield(8, &v.text), "8, 'text'"),
    ("CALL", |e, v| e.call(8, &v.callable, Some(&v.text)), "8, <built-in function len>, 'text'"),
    ("LINE", |e, _| e.line(8, 1234), "1234"),
    ("JUMP", |e, _| e.jump(8, 60), "8, 60"),
    ("BRANCH_LEFT", |e, _| e.branch_left(8, 62), "8, 62"),
    ("BRANCH_RIGHT", |e, _| e.branch_right(8, 64), "8, 64"),
    ("STOP_ITERATION", |e, v| e.stop_iteration(8, Some(&v.text)), "8, StopIteration('text')"),
    ("RAISE", |e, v| e.raise(8, &v.error), "8, KeyError('key')"),
    ("EXCEPTION_HANDLED", |e, v| e.exception_handled(8, &v.error), "8, KeyError('key')"),
    ("PY_UNWIND", |e, v| e.py_unwind(8, &v.error), "8, KeyError('key')"),
    ("PY_THROW", |e, v| e.py_throw(8, &v.error), "8, KeyError('key')"),
    ("RERAISE", |e, v| e.reraise(8, &v.error), "8, KeyError('key')"),
    ("C_RETURN", |e, v| e.c_return(8, &v.text), "8, <built-in function len>, 'text'"),
    ("C_RAISE", |e, v| e.c_raise(8, &v.error), "8, <built-in function len>, 'text'"),
];

/// The end of a call is that of the call before.
fn call_first<'py>(
    name: &str,
    entered: &Entered<'_, 'py, All>,
    values: &Values<'py>,
) -> Result<(), Raised<'py>> {
    if name.starts_with("C_") { entered.call(8, &values.callable, Some(&values.text)) } else { Ok(()) }
}

/// `sys.monitoring.DISABLE`, or another of its things.
fn of_monitoring<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("sys")?.getattr("monitoring")?.getattr(name)
}

#[test]
fn callbacks_get_the_documented_arguments() {
    with_package(|py| {
        let (values, code) = (Values::new(py)?, code_like(py)?);
        let scope = Function::new();
        for (name, fire, told) in EVENTS {
            let tool = Tool::new(py, LOW)?;
            tool.listen(&[name])?;
            {
                let entered = scope.enter(py, &code)?;
                call_first(name, &entered, &values)?;
                fire(&entered, &values)?;
            }
            assert_eq!(tool.take()?, format!("[('{name}', {told})]"));
            assert!(tool.0.getattr("codes")?.get_item(0)?.is(&code), "{name}");
        }
        Ok(())
    });
}

#[test]
fn nothing_is_told_to_those_who_did_not_ask() {
    with_package(|py| {
        let (values, code) = (Values::new(py)?, code_like(py)?);
        let tool = Tool::new(py, LOW)?;
        for (name, ..) in EVENTS {
            tool.0.call_method1("note", (name,))?;
        }
        let scope = Function::new();
        let entered = scope.enter(py, &code)?;
        for (name, fire, _) in EVENTS {
            call_first(name, &entered, &values)?;
            fire(&entered, &values)?;
        }
        assert_eq!(tool.take()?, "[]");
        Ok(())
    });
}

#[test]
fn exception_that_is_told_is_the_very_one() {
    with_package(|py| {
        let (code, tool) = (code_like(py)?, Tool::new(py, LOW)?);
        tool.listen(&["RAISE"])?;
        let error = PyKeyError::new_err("key");
        let scope = Scope::<(Raise,)>::new();
        let entered = scope.enter(py, &code)?;
        let value: &Bound<'_, PyBaseException> = error.value(py);
        let unbound: Py<PyBaseException> = value.clone().unbind();
        entered.raise(0, &error)?;
        entered.raise(0, value)?;
        entered.raise(0, &unbound)?;
        for told in tool.told()? {
            assert!(told.get_item(2)?.is(value));
        }
        assert!(PyErr::take(py).is_none());
        Ok(())
    });
}

#[test]
fn call_without_an_argument_is_told_as_missing() {
    with_package(|py| {
        let (values, code, tool) = (Values::new(py)?, code_like(py)?, Tool::new(py, LOW)?);
        tool.listen(&["CALL"])?;
        let scope = Scope::<(Call,)>::new();
        scope.enter(py, &code)?.call(0, &values.callable, None)?;
        assert!(tool.told()?.get_item(0)?.get_item(3)?.is(&of_monitoring(py, "MISSING")?));
        Ok(())
    });
}

#[test]
fn stop_iteration_takes_an_instance_a_value_or_none() {
    with_package(|py| {
        let (code, tool) = (code_like(py)?, Tool::new(py, LOW)?);
        tool.listen(&["STOP_ITERATION"])?;
        let scope = Scope::<(StopIteration,)>::new();
        let entered = scope.enter(py, &code)?;
        let instance = PyStopIteration::new_err(5);
        entered.stop_iteration(0, Some(&instance))?;
        assert!(tool.told()?.get_item(0)?.get_item(2)?.is(instance.value(py)));
        entered.stop_iteration(0, Some(&PyTuple::new(py, [5, 6])?))?;
        entered.stop_iteration(0, None)?;
        let expected =
            "[('STOP_ITERATION', 0, StopIteration((5, 6))), ('STOP_ITERATION', 0, StopIteration())]";
        assert_eq!(tool.take()?, expected);
        Ok(())
    });
}

#[test]
fn numbers_that_c_cannot_hold_are_value_errors() {
    with_package(|py| {
        let (code, tool) = (code_like(py)?, Tool::new(py, LOW)?);
        let scope = Scope::<(PyStart, Line, Jump)>::new();
        // Nobody looks at them where nobody listens.
        scope.enter(py, &code)?.py_start(u32::MAX)?;
        tool.listen(&["PY_START", "LINE", "JUMP"])?;
        let entered = scope.enter(py, &code)?;
        let words = [
            (entered.py_start(1 << 31), "ValueError: offset is too large"),
            (entered.line(0, u32::MAX), "ValueError: line is too large"),
            (entered.jump(0, 1 << 31), "ValueError: destination is too large"),
        ];
        for (fired, words) in words {
            assert_eq!(PyErr::from(fired.expect_err(words)).to_string(), words);
        }
        entered.py_start(i32::MAX as u32)?;
        assert_eq!(tool.take()?, "[('PY_START', 2147483647)]");
        Ok(())
    });
}

#[test]
fn tools_are_told_highest_first_and_an_error_comes_out() {
    with_package(|py| {
        let (values, code) = (Values::new(py)?, code_like(py)?);
        let scope = Function::new();
        for (name, fire, _) in EVENTS {
            let (low, high) = (Tool::new(py, LOW)?, Tool::new(py, HIGH)?);
            low.listen(&[name])?;
            high.listen(&[name])?;
            let error = PyOSError::new_err("callback");
            high.0.setattr("error", error.value(py))?;
            let entered = scope.enter(py, &code)?;
            call_first(name, &entered, &values)?;
            let raised = PyErr::from(fire(&entered, &values).expect_err(name));
            assert!(raised.value(py).is(error.value(py)), "{name}: {raised}");
            assert!(PyErr::take(py).is_none(), "{name}: it is the caller's alone");
            assert_eq!((low.told()?.len(), high.told()?.len()), (0, 1), "{name}");
            // It goes on hearing: an error is no DISABLE.
            high.0.setattr("error", py.None())?;
            call_first(name, &entered, &values)?;
            fire(&entered, &values)?;
            assert_eq!((low.told()?.len(), high.told()?.len()), (1, 1), "{name}");
        }
        Ok(())
    });
}

#[test]
fn what_a_callback_raised_can_be_told_of_or_forgotten() {
    with_package(|py| {
        let (code, tool) = (code_like(py)?, Tool::new(py, LOW)?);
        tool.listen(&["LINE", "PY_UNWIND"])?;
        let scope = Scope::<(Line, PyUnwind)>::new();
        let entered = scope.enter(py, &code)?;
        let error = PyOSError::new_err("callback");
        let count = py.import("sys")?.getattr("getrefcount")?;
        let references = || count.call1((error.value(py),))?.extract::<usize>();
        tool.0.setattr("error", error.value(py))?;
        let raised = entered.line(0, 1).expect_err("the callback raises");
        assert_eq!(
            (raised.to_string(), format!("{raised:?}")),
            ("OSError was raised".into(), "Raised(OSError)".into())
        );
        tool.0.setattr("error", py.None())?;
        entered.py_unwind(0, &raised)?;
        assert_eq!(tool.take()?, "[('LINE', 1), ('PY_UNWIND', 0, OSError('callback'))]");
        let before = references()?;
        drop(raised);
        assert_eq!(references()?, before - 1);
        assert!(PyErr::take(py).is_none());
        Ok(())
    });
}

#[test]
fn disable_holds_for_the_scope_and_the_tool_until_a_restart() {
    with_package(|py| {
        let (code, low, high) = (code_like(py)?, Tool::new(py, LOW)?, Tool::new(py, HIGH)?);
        low.listen(&["LINE"])?;
        high.listen(&["LINE"])?;
        low.0.setattr("answer", of_monitoring(py, "DISABLE")?)?;
        let (scope, other) = (Scope::<(Line,)>::new(), Scope::<(Line,)>::new());
        for _ in 0..3 {
            scope.enter(py, &code)?.line(0, 1)?;
        }
        assert_eq!((low.told()?.len(), high.told()?.len()), (1, 3));
        other.enter(py, &code)?.line(0, 1)?;
        assert_eq!(low.told()?.len(), 1);
        of_monitoring(py, "restart_events")?.call0()?;
        scope.enter(py, &code)?.line(0, 1)?;
        assert_eq!(low.told()?.len(), 1);
        Ok(())
    });
}

#[test]
fn scope_notices_changes_when_it_is_entered_or_asked_to() {
    with_package(|py| {
        let (code, tool) = (code_like(py)?, Tool::new(py, LOW)?);
        let scope = Scope::<(Line, PyReturn)>::new();
        let entered = scope.enter(py, &code)?;
        assert!(!entered.is_active(Line));
        tool.listen(&["LINE"])?;
        // A byte is all that it looks at.
        entered.line(0, 1)?;
        assert_eq!(tool.take()?, "[]");
        entered.refresh()?;
        assert!(entered.is_active(Line) && !entered.is_active(PyReturn));
        entered.line(0, 2)?;
        tool.0.call_method0("set_events")?;
        assert!(!scope.enter(py, &code)?.is_active(Line));
        // The states are the scope's.
        assert!(!entered.is_active(Line));
        assert_eq!(tool.take()?, "[('LINE', 2)]");
        Ok(())
    });
}

/// What coverage.py does: the events of a function are set in its PY_START.
#[test]
fn local_events_of_a_callback_hold_for_what_follows_in_the_same_scope() {
    with_package(|py| {
        let (code, other, tool) = (code_like(py)?, code_like(py)?, Tool::new(py, LOW)?);
        tool.listen(&["PY_START"])?;
        tool.0.call_method1("note", ("LINE",))?;
        let wanted = code.clone().unbind();
        let set_local = PyCFunction::new_closure(py, None, None, move |args, _| -> PyResult<()> {
            let py = args.py();
            if args.get_item(0)?.is(&wanted) {
                let line = of_monitoring(py, "events")?.getattr("LINE")?;
                of_monitoring(py, "set_local_events")?.call1((LOW, &wanted, line))?;
            }
            Ok(())
        })?;
        tool.0.call_method1("register", ("PY_START", set_local))?;
        for code in [&code, &other] {
            let scope = Scope::<(PyStart, Line)>::new();
            let entered = scope.enter(py, code)?;
            entered.py_start(0)?;
            entered.line(0, 1)?;
            entered.line(2, 2)?;
        }
        assert_eq!(tool.take()?, "[('LINE', 1), ('LINE', 2)]");
        Ok(())
    });
}

#[test]
fn events_of_all_code_reach_a_scope_that_knew_local_ones() {
    with_package(|py| {
        let (code, other, tool) = (code_like(py)?, code_like(py)?, Tool::new(py, LOW)?);
        let scope = Scope::<(Line,)>::new();
        let line: u32 = of_monitoring(py, "events")?.getattr("LINE")?.extract()?;
        tool.0.call_method1("note", ("LINE",))?;
        let set_local = |bits: u32| of_monitoring(py, "set_local_events")?.call1((LOW, &other, bits));
        set_local(line)?;
        scope.enter(py, &code)?.line(0, 1)?;
        set_local(0)?;
        tool.listen(&["LINE"])?;
        scope.enter(py, &code)?.line(0, 2)?;
        assert_eq!(tool.take()?, "[('LINE', 2)]");
        Ok(())
    });
}

fn count_down(
    py: Python<'_>,
    scope: &Scope<(PyStart, Line, PyReturn)>,
    code: &Bound<'_, PyAny>,
    n: u32,
) -> PyResult<u32> {
    let entered = scope.enter(py, code)?;
    entered.py_start(n)?;
    let result = if n == 0 { 0 } else { count_down(py, scope, code, n - 1)? + 1 };
    entered.line(n, n)?;
    entered.py_return(n, &result.into_pyobject(py)?)?;
    Ok(result)
}

#[test]
fn recursion_enters_the_same_scope_again() {
    with_package(|py| {
        let (code, tool) = (code_like(py)?, Tool::new(py, LOW)?);
        tool.listen(&["PY_START", "LINE", "PY_RETURN"])?;
        assert_eq!(count_down(py, &Scope::new(), &code, 2)?, 2);
        let expected = "[('PY_START', 2), ('PY_START', 1), ('PY_START', 0), \
                        ('LINE', 0), ('PY_RETURN', 0, 0), ('LINE', 1), ('PY_RETURN', 1, 1), \
                        ('LINE', 2), ('PY_RETURN', 2, 2)]";
        assert_eq!(tool.take()?, expected);
        Ok(())
    });
}

type Suspended = Scope<(PyStart, PyResume, PyYield, PyReturn, PyThrow, PyUnwind)>;

/// A generator of the host's: it counts.
struct Generator {
    scope: Arc<Suspended>,
    next: u32,
    end: u32,
}

impl Generator {
    fn resume(
        &mut self,
        py: Python<'_>,
        code: &Bound<'_, PyAny>,
        thrown: Option<PyErr>,
    ) -> PyResult<Option<u32>> {
        let entered = self.scope.enter(py, code)?;
        match thrown {
            Some(error) => {
                entered.py_throw(self.next, &error)?;
                entered.py_unwind(self.next, &error)?;
                return Err(error);
            }
            None if self.next == 0 => entered.py_start(0)?,
            None => entered.py_resume(self.next)?,
        }
        let value = self.next;
        if value == self.end {
            entered.py_return(value, &py.None())?;
            return Ok(None);
        }
        self.next += 1;
        entered.py_yield(value, &value.into_pyobject(py)?)?;
        Ok(Some(value))
    }
}

#[test]
fn generator_leaves_its_scope_and_enters_it_again() {
    with_package(|py| {
        let (code, tool) = (code_like(py)?, Tool::new(py, LOW)?);
        tool.listen(&["PY_START", "PY_YIELD"])?;
        let scope = Arc::default();
        let mut first = Generator { scope: Arc::clone(&scope), next: 0, end: 2 };
        let mut second = Generator { scope, next: 0, end: 9 };
        assert_eq!(first.resume(py, &code, None)?, Some(0));
        // What is set while it is suspended holds when it goes on.
        tool.listen(&["PY_RESUME", "PY_RETURN", "PY_THROW", "PY_UNWIND"])?;
        second.resume(py, &code, None)?;
        first.resume(py, &code, None)?;
        assert_eq!(first.resume(py, &code, None)?, None);
        let thrown = second.resume(py, &code, Some(PyValueError::new_err("thrown")));
        assert!(thrown.is_err_and(|error| error.is_instance_of::<PyValueError>(py)));
        let expected = "[('PY_START', 0), ('PY_YIELD', 0, 0), ('PY_RESUME', 1), ('PY_RESUME', 2), \
                        ('PY_RETURN', 2, None), ('PY_THROW', 1, ValueError('thrown')), \
                        ('PY_UNWIND', 1, ValueError('thrown'))]";
        assert_eq!(tool.take()?, expected);
        Ok(())
    });
}

#[test]
fn nothing_is_told_while_a_callback_runs() {
    with_package(|py| {
        let (code, low, high) = (code_like(py)?, Tool::new(py, LOW)?, Tool::new(py, HIGH)?);
        low.listen(&["LINE"])?;
        high.listen(&["LINE"])?;
        let scope = Arc::new(Scope::<(Line,)>::new());
        let (again, inner) = (Arc::clone(&scope), code.clone().unbind());
        let fires = PyCFunction::new_closure(py, None, None, move |args, _| -> PyResult<()> {
            again.enter(args.py(), &inner)?.line(0, 99)?;
            Ok(())
        })?;
        high.0.call_method1("register", ("LINE", fires))?;
        scope.enter(py, &code)?.line(0, 1)?;
        assert_eq!(low.take()?, "[('LINE', 1)]");
        Ok(())
    });
}

/// A panic of a callback that is written in Rust is an exception by the time that it comes here.
#[test]
fn panic_of_a_callback_is_an_error_of_the_event() {
    with_package(|py| {
        let (code, tool) = (code_like(py)?, Tool::new(py, LOW)?);
        tool.listen(&["LINE"])?;
        let panics = PyCFunction::new_closure(py, None, None, |_, _| -> PyResult<()> { panic!("callback") })?;
        tool.0.call_method1("register", ("LINE", panics))?;
        let scope = Scope::<(Line,)>::new();
        let entered = scope.enter(py, &code)?;
        let raised = entered.line(0, 1).expect_err("the callback panics");
        // Which one depends on who calls the callback: the interpreter, or the package by PyO3.
        let error = PyErr::from(raised);
        let is_either =
            error.is_instance_of::<PanicException>(py) || error.is_instance_of::<PySystemError>(py);
        assert!(is_either, "{error}");
        assert!(PyErr::take(py).is_none());
        tool.0.call_method1("note", ("LINE",))?;
        entered.line(0, 2)?;
        assert_eq!(tool.take()?, "[('LINE', 2)]");
        Ok(())
    });
}

#[test]
fn panic_of_the_producer_leaves_the_scope_and_harms_nothing() {
    with_package(|py| {
        let (code, tool) = (code_like(py)?, Tool::new(py, LOW)?);
        tool.listen(&["LINE"])?;
        let scope = Scope::<(Line,)>::new();
        let panicked = catch_unwind(AssertUnwindSafe(|| -> Result<(), Raised<'_>> {
            let entered = scope.enter(py, &code)?;
            entered.line(0, 1)?;
            panic!("producer")
        }));
        assert!(panicked.is_err());
        assert!(PyErr::take(py).is_none());
        scope.enter(py, &code)?.line(0, 2)?;
        assert_eq!(tool.take()?, "[('LINE', 1), ('LINE', 2)]");
        Ok(())
    });
}

#[test]
fn scope_is_shared_by_threads() {
    static SCOPE: Scope<(Line,)> = Scope::new();
    with_package(|py| {
        let (code, tool) = (code_like(py)?.unbind(), Tool::new(py, LOW)?);
        tool.listen(&["LINE"])?;
        let run = |number: u32| {
            Python::attach(|py| -> PyResult<()> {
                for _ in 0..100 {
                    SCOPE.enter(py, &code)?.line(0, number)?;
                }
                Ok(())
            })
        };
        py.detach(|| {
            std::thread::scope(|threads| {
                let started: Vec<_> = (0..4).map(|number| threads.spawn(move || run(number))).collect();
                started.into_iter().try_for_each(|thread| thread.join().expect("it does not panic"))
            })
        })?;
        let told: Bound<'_, PyList> = tool.told()?;
        assert_eq!(told.len(), 400);
        Ok(())
    });
}

#[test]
fn every_event_has_the_bit_of_the_namespace() {
    with_package(|py| {
        let events = of_monitoring(py, "events")?;
        for &(name, id) in monitrace::event::ALL {
            match events.getattr(name) {
                Ok(bit) => assert_eq!(bit.extract::<u32>()?, 1 << id, "{name}"),
                Err(_) => assert!(name.starts_with("BRANCH_"), "{name}"),
            }
        }
        Ok(())
    });
}

#[test]
fn scope_is_as_large_as_its_events() {
    assert_eq!(size_of::<Scope<(Line,)>>(), 16);
    assert_eq!(size_of::<Scope<(PyStart, Line, PyReturn, PyUnwind)>>(), 16);
    assert_eq!(size_of::<Function>(), 48);
}
