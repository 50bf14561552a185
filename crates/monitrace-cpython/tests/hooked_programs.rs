//! Runs rewritten programs: identity and round trips alone cannot see a corrupt stack.
#![cfg(all(Py_3_11, not(Py_3_12)))]

mod common;

use common::{Pieces, load};
use monitrace_core::Event;
use monitrace_cpython::bytecode::{Analysis, Plan};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyCode, PyList};
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs");

/// False, like every hook; what happened goes to the log, if there is one.
#[pyclass(frozen)]
struct Hook {
    log: Option<Py<PyList>>,
    entry: Py<PyAny>,
}

static FIRED: AtomicU64 = AtomicU64::new(0);

#[pymethods]
impl Hook {
    fn __bool__(&self, py: Python<'_>) -> PyResult<bool> {
        FIRED.fetch_add(1, Ordering::Relaxed);
        if let Some(log) = &self.log {
            log.bind(py).append(&self.entry)?;
        }
        Ok(false)
    }
}

/// The events that [`NAIVE`] knows.
const LOGGED: [Event; 5] = [Event::Line, Event::PyStart, Event::PyReturn, Event::Call, Event::CReturn];

/// The code object and those inside it, with a hook at every place of which `wanted(index)` is true
/// that logs `(event, code's qualified name, line)`.
#[pyfunction]
fn hooked<'py>(
    code: &Bound<'py, PyAny>,
    log: Option<&Bound<'py, PyList>>,
    wanted: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = code.py();
    let refused = |error| PyValueError::new_err(format!("{code:?}: {error}"));
    let pieces = Pieces::of(code)?;
    let analysis = Analysis::new(&pieces.bytes()).map_err(refused)?;
    let chosen = (0..analysis.places().len())
        .map(|place| wanted.call1((place,))?.is_truthy())
        .collect::<PyResult<Vec<_>>>()?;
    let plan = Plan { wanted: &|place| chosen[place], gates: true, stack_limit: None, landing: None };
    let copy = analysis.assemble(&plan).map_err(refused)?;

    let mut consts: Vec<Bound<'_, PyAny>> = code.getattr("co_consts")?.extract()?;
    for constant in &mut consts {
        if constant.is_instance_of::<PyCode>() {
            *constant = hooked(constant, log, wanted)?;
        }
    }
    let name = code.getattr("co_qualname")?;
    for hook in &copy.hooks {
        let place = &analysis.places()[hook.place];
        let entry = (place.event.name(), &name, place.line).into_pyobject(py)?.into_any().unbind();
        let log = log.filter(|_| LOGGED.contains(&place.event));
        let hook = Hook { log: log.map(|log| log.clone().unbind()), entry };
        consts.push(Bound::new(py, hook)?.into_any());
    }
    if !copy.gates.is_empty() {
        let hook = Hook { log: None, entry: py.None() };
        consts.push(Bound::new(py, hook)?.into_any());
    }
    load(code, &copy, consts)
}

/// The events of a program by the rule of CPython 3.12 and later, decided while the original runs:
/// a `LINE` where the instruction that ran before in the same frame has another line. `C_RETURN` is
/// what stands there: every call that returned, whatever was called.
const NAIVE: &std::ffi::CStr = cr#"
import builtins, dis, sys, types

def run(path, prepare):
    """Runs a program; `prepare` may replace its code objects and those it makes with exec."""
    def exec(source, scope=None):
        code = prepare(compile(source, "<made>", "exec", dont_inherit=True))
        builtins.exec(code, {} if scope is None else scope)
    with open(path) as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    builtins.exec(prepare(code), {"__name__": "program", "exec": exec})

CALLS = "CALL", "CALL_FUNCTION_EX"
CALLS_BEGIN = "KW_NAMES", "PRECALL", "CALL_FUNCTION_EX"

class Instructions(dict):
    """The instructions of a code object by the offset of their first unit."""
    def __init__(self, code):
        self.name = code.co_qualname
        start = None
        for i in dis.get_instructions(code):
            start = i.offset if start is None else start
            if i.opname != "EXTENDED_ARG":
                self[start] = i.opname, i.arg, i.positions.lineno
                start = None
        self.following = dict(zip(self, list(self)[1:]))

def hook_all(log):
    return lambda code: hooked(code, log, lambda place: True)

def expected(path):
    known, log = {}, []
    def trace(frame, event, arg):
        code = frame.f_code
        if code.co_filename not in (path, "<made>"):
            return None
        instructions = known.get(code) or known.setdefault(code, Instructions(code))
        at = frame.f_lasti
        before = instructions[at]
        if before[0] == "RESUME" and before[1] == 0:
            log.append(("PY_START", instructions.name, before[2]))
        def local(frame, event, arg):
            nonlocal at, before
            if event == "opcode":
                now = name, arg, line = instructions[frame.f_lasti]
                # What was called has returned, and not raised, if the next instruction comes next.
                if before[0] in CALLS and instructions.following[at] == frame.f_lasti:
                    log.append(("C_RETURN", instructions.name, before[2]))
                other = before[2] != line or before[:2] == ("RESUME", 0)
                # RERAISE with an argument puts an earlier position back, so it is another line.
                other = other or before[0] == "RERAISE" and before[1] != 0
                if line is not None and other and name not in ("RESUME", "END_ASYNC_FOR"):
                    log.append(("LINE", instructions.name, line))
                if name == "RETURN_VALUE":
                    log.append(("PY_RETURN", instructions.name, line))
                if name in CALLS_BEGIN and before[0] != "KW_NAMES":
                    log.append(("CALL", instructions.name, line))
                at, before = frame.f_lasti, now
            return local
        frame.f_trace_opcodes = True
        return local
    sys.settrace(trace)
    try:
        run(path, lambda code: code)
    finally:
        sys.settrace(None)
    return log
"#;

fn programs() -> Vec<String> {
    let mut paths: Vec<_> = std::fs::read_dir(PROGRAMS)
        .unwrap()
        .map(|entry| entry.unwrap().path().into_os_string().into_string().unwrap())
        .filter(|path| path.ends_with(".py"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

#[test]
fn hooks_fire_where_the_rule_says() -> PyResult<()> {
    Python::attach(|py| {
        let naive = PyModule::from_code(py, NAIVE, c"naive.py", c"naive")?;
        naive.add_function(wrap_pyfunction!(hooked, &naive)?)?;
        for path in programs() {
            let expected: Vec<(String, String, Option<u32>)> =
                naive.getattr("expected")?.call1((&path,))?.extract()?;
            let log = PyList::empty(py);
            let prepare = naive.getattr("hook_all")?.call1((&log,))?;
            naive.getattr("run")?.call1((&path, prepare))?;
            let happened: Vec<(String, String, Option<u32>)> = log.extract()?;
            for (index, (got, want)) in happened.iter().zip(&expected).enumerate() {
                assert_eq!(
                    got,
                    want,
                    "event {index} of {path}, after {:?}",
                    &expected[index.saturating_sub(5)..index]
                );
            }
            assert_eq!(happened.len(), expected.len(), "{path}");
            println!("{path}: {} events", happened.len());
        }
        Ok(())
    })
}

/// Set in the child processes of [`the_interpreter_s_own_tests_pass_rewritten`]: whether to rewrite.
const CHILD: &str = "MONITRACE_TEST_CHILD";

/// Runs test modules of the interpreter and prints the identities of their results.
const OWN_TESTS: &std::ffi::CStr = cr#"
import sys
sys.dont_write_bytecode = True

def rewrite_imports(hooked):
    """Everything that is imported from now on has a hook at every place."""
    import _frozen_importlib_external as external
    get_code = external.SourceLoader.get_code
    def get_rewritten_code(self, name):
        code = get_code(self, name)
        return code and hooked(code, None, lambda place: True)
    external.SourceLoader.get_code = get_rewritten_code

def run(modules):
    import io, os, sysconfig, unittest, warnings
    # Tests start more interpreters; an embedded one does not know what to start.
    sys.executable = sys._base_executable = os.path.join(sysconfig.get_config_var("BINDIR"), "python3.11")
    warnings.simplefilter("ignore")
    lines = []
    for module in modules:
        suite = unittest.defaultTestLoader.loadTestsFromName("test." + module)
        result = unittest.TextTestRunner(io.StringIO()).run(suite)
        lines += [f"failed {test}" for test, _ in result.failures]
        lines += [f"raised {test}" for test, _ in result.errors]
        lines += [f"skipped {test} {why}" for test, why in result.skipped]
        lines.append(f"ran {result.testsRun} of {module}")
    return lines
"#;

const MODULES: [&str; 25] = [
    "test_asyncgen",
    "test_class",
    "test_bdb",
    "test_contextlib",
    "test_contextlib_async",
    "test_coroutines",
    "test_decorators",
    "test_dict",
    "test_except_star",
    "test_exception_variations",
    "test_extcall",
    "test_functools",
    "test_generators",
    "test_exceptions",
    "test_grammar",
    "test_named_expressions",
    "test_opcodes",
    "test_patma",
    "test_unpack_ex",
    "test_raise",
    "test_sys_settrace",
    "test_traceback",
    "test_scope",
    "test_with",
    "test_yield_from",
];

fn run_own_tests(rewritten: bool) -> PyResult<()> {
    Python::attach(|py| {
        // test_bdb leaves frames of modules with such a name out, and ours is one while it imports.
        let own = PyModule::from_code(py, OWN_TESTS, c"own_tests.py", c"importlib_own_tests")?;
        if rewritten {
            own.getattr("rewrite_imports")?.call1((wrap_pyfunction!(hooked, &own)?,))?;
        }
        let lines: Vec<String> = own.getattr("run")?.call1((MODULES.to_vec(),))?.extract()?;
        for line in lines {
            println!("RESULT {line}");
        }
        println!("FIRED {}", FIRED.load(Ordering::Relaxed));
        Ok(())
    })
}

#[test]
fn the_interpreter_s_own_tests_pass_rewritten() -> PyResult<()> {
    if let Some(mode) = std::env::var_os(CHILD) {
        return run_own_tests(mode == "rewritten");
    }
    let results = |mode| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_interpreter_s_own_tests_pass_rewritten", "--nocapture"])
            .env(CHILD, mode)
            // The modules recurse deeply on the thread of the test.
            .env("RUST_MIN_STACK", (64 << 20).to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{mode}: {}\n{text}\n{error}", output.status);
        let fired = text.lines().find_map(|line| line.strip_prefix("FIRED ")).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("RESULT ")).map(str::to_owned);
        (lines.collect::<BTreeSet<_>>(), fired.parse::<u64>().unwrap())
    };
    let (plain, none) = results("plain");
    let (rewritten, fired) = results("rewritten");
    let broken: Vec<_> = plain.iter().filter(|line| line.contains("_FailedTest")).collect();
    assert!(broken.is_empty(), "this interpreter has no such tests: {broken:#?}");
    // Where it jumps to is a matter of lines that the copy has elsewhere too: it takes the host, which shows the
    // program its own.
    let is_of_rewriting = |line: &&String| !line.contains("test_jump_extended_args_unpack_ex_tricky");
    let missing: Vec<_> = plain.difference(&rewritten).filter(is_of_rewriting).collect();
    let new: Vec<_> = rewritten.difference(&plain).filter(is_of_rewriting).collect();
    assert!(missing.is_empty() && new.is_empty(), "only plain: {missing:#?}\nonly rewritten: {new:#?}");
    assert!(none == 0 && fired > 100_000, "{fired} hooks fired");
    let ran = plain.iter().filter(|line| line.starts_with("RESULT ran"));
    println!("{} modules with the same results, {fired} hooks fired", ran.count());
    Ok(())
}
