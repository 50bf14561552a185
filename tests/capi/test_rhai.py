"""That `examples/rhai` does what its README shows, and what it says beyond that."""

import importlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import example
import monitrace
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/rhai"
TOOL = 2

monitoring = monitrace.install()
EVENTS = monitoring.events
NAMES = ("PY_START", "LINE", "CALL", "PY_RETURN", "RAISE", "PY_UNWIND")

Told = list[tuple[object, ...]]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the README's first command installs the example."""
    folder = tmp_path_factory.mktemp("rhai")
    example.install(EXAMPLE, folder)
    return folder


@pytest.fixture(scope="module")
def rhai(package: Path) -> Iterator[Any]:
    """The module, imported from there."""
    sys.path.insert(0, str(package))
    yield importlib.import_module("rhai_scripts")
    sys.path.remove(str(package))


@pytest.fixture
def museum(tmp_path: Path) -> Path:
    """A copy of the example's programs."""
    for name in ("museum.py", "ticket.rhai"):
        shutil.copy(EXAMPLE / name, tmp_path)
    return tmp_path


Load = Callable[..., Any]


@pytest.fixture
def load(rhai: Any, tmp_path: Path) -> Load:
    """Makes a script of its text."""

    def load(text: str, **functions: object) -> Any:
        file = tmp_path / "test.rhai"
        file.write_text(text)
        return rhai.Script(file, functions)

    return load


@pytest.fixture
def told() -> Iterator[Told]:
    """What is told of scripts: the event, the function, the line, and what comes after the place."""
    told: Told = []

    def line_of(code: Any, offset: int) -> int:
        (line,) = (line for start, end, line in code.co_lines() if start <= offset < end)
        return int(line)

    def callback(event: str) -> Callable[..., None]:
        def tell(code: Any, place: int, *rest: object) -> None:
            if code.co_filename.endswith(".rhai"):
                line = place if event == "LINE" else line_of(code, place)
                told.append((event, code.co_qualname, line, *rest))

        return tell

    monitoring.use_tool_id(TOOL, "test")
    for name in NAMES:
        monitoring.register_callback(TOOL, getattr(EVENTS, name), callback(name))
    monitoring.set_events(TOOL, sum(getattr(EVENTS, name) for name in NAMES))
    yield told
    monitoring.set_events(TOOL, 0)
    for name in NAMES:
        monitoring.register_callback(TOOL, getattr(EVENTS, name), None)
    monitoring.free_tool_id(TOOL)


def test_commands_of_the_readme_print_what_it_shows(package: Path, museum: Path) -> None:
    (_, *rest) = example.commands(EXAMPLE)
    assert len(rest) == 3
    for line, shown in rest:
        assert example.shell(line, museum, PYTHONPATH=example.path(package)) == shown


# Where the package is not: neither the environment's packages nor its variables.
ALONE = (sys.executable, "-E", "-S")


def test_it_runs_without_the_package(package: Path, museum: Path) -> None:
    program = (
        f"import sys, runpy; sys.path[:0] = ['', {str(package)!r}]; runpy.run_path('museum.py')\n"
        "try: import monitrace\n"
        "except ModuleNotFoundError: print('absent')"
    )
    ran = subprocess.run([*ALONE, "-c", program], cwd=museum, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == (example.commands(EXAMPLE)[1][1] + "absent\n", "")


@pytest.mark.skipif(sys.version_info < (3, 13), reason="before 3.13 the interpreter has no C API of its own")
def test_the_interpreter_tells_of_it_without_the_package(package: Path, museum: Path) -> None:
    program = f"""
import sys
sys.path[:0] = ["", {str(package)!r}]
import rhai_scripts
def line(code, number):
    if code.co_filename == "ticket.rhai":
        print(type(code).__name__, code.co_qualname, code.co_firstlineno, number)
m = sys.monitoring
m.use_tool_id(2, "test")
m.register_callback(2, m.events.LINE, line)
m.set_events(2, m.events.LINE)
rhai_scripts.Script("ticket.rhai", {{"discount": abs}}).run(ages=[20])
"""
    ran = subprocess.run([*ALONE, "-c", program], cwd=museum, capture_output=True, text=True, check=False)
    own = [f"Code <script> 1 {line}" for line in (9, 10, 11, 14)]
    expected = [*own, "Code price 2 3", "Code price 2 6", "Code <script> 1 16"]
    assert (ran.stdout.splitlines(), ran.stderr) == (expected, "")


def test_functions_have_code_likes_of_their_own(load: Load, told: Told) -> None:
    def double(number: int) -> int:
        return number * 2

    text = "fn int.twice() {\n  double(this)\n}\nlet add = |x| x + 1;\nadd.call(3.twice())"
    assert load(text, double=double).run() == 7
    assert told == [
        ("PY_START", "<script>", 1),
        ("LINE", "<script>", 4),
        ("LINE", "<script>", 5),
        ("PY_START", "i64.twice", 1),
        ("LINE", "i64.twice", 2),
        ("CALL", "i64.twice", 2, double, 3),
        ("PY_RETURN", "i64.twice", 2, 6),
        ("PY_START", "<closure>", 4),
        ("LINE", "<closure>", 4),
        ("PY_RETURN", "<closure>", 4, 7),
        ("PY_RETURN", "<script>", 5, 7),
    ]


def test_call_without_arguments_has_no_first(load: Load, told: Told) -> None:
    def nothing() -> None:
        return None

    assert load("nothing()", nothing=nothing).run() is None
    assert [event for event in told if event[0] == "CALL"] == [
        ("CALL", "<script>", 1, nothing, monitoring.MISSING)
    ]


def test_recursion(load: Load, told: Told) -> None:
    text = "fn down(n) {\n  if n == 0 { return 0; }\n  1 + down(n - 1)\n}\ndown(2)"
    assert load(text).run() == 2
    assert [event[:1] + event[2:] for event in told if event[1] == "down"] == [
        *[("PY_START", 1), ("LINE", 2), ("LINE", 3)] * 2,
        *[("PY_START", 1), ("LINE", 2), ("PY_RETURN", 2, 0)],
        *[("PY_RETURN", 3, 1), ("PY_RETURN", 3, 2)],
    ]


def test_functions_that_rhai_calls(load: Load, told: Told) -> None:
    assert load("[1, 2].map(|x|\n x * 10)").run() == [10, 20]
    assert [event[0] for event in told if event[1] == "<closure>"] == ["PY_START", "LINE", "PY_RETURN"] * 2
    assert told[-1] == ("PY_RETURN", "<script>", 1, [10, 20])


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("1; 2;\n3", [1, 2]),
        ("let n = 2;\nwhile n > 0 { n -= 1; }\nn", [1, 2, 2, 3]),
        ("let n = 2;\nwhile n > 0 {\n  n -= 1;\n}\nn", [1, 2, 3, 2, 3, 2, 5]),
        ("for x in [1, 2] {\n  x;\n}", [1, 2, 2]),
        ("let l = [];\nfor x in [1, 2] {\n  l.push(x);\n}", [1, 2, 3, 3]),
        ("let l = [[]];\nfor x in [1, 2] { l[0].len(); }", [1, 2, 2]),
        ("for x in [1, 2] { `${x}` == `${x + 1}`; x; }", [1, 1]),
        ("for x in [1, 2] { if x == 1 { x; x + 1 } else { x } }", [1, 1]),
        ("let x = [1,\n 2,\n max(3,\n 4)];\nx", [1, 2, 3, 4, 5]),
        ("fn f() {}\n\nf();\n// nothing\n", [3]),
        ("", []),
    ],
)
def test_lines(load: Load, told: Told, text: str, lines: list[int]) -> None:
    load(text).run()
    assert [event[2] for event in told if event[:2] == ("LINE", "<script>")] == lines
    assert [told[0][0], told[-1][0]] == ["PY_START", "PY_RETURN"]


def test_disabled_lines_stay_silent(load: Load, told: Told) -> None:
    def disable(code: Any, number: int) -> object:
        if not code.co_filename.endswith(".rhai"):
            return None
        told.append(("LINE", number))
        return None if number == 2 else monitoring.DISABLE

    monitoring.register_callback(TOOL, EVENTS.LINE, disable)
    monitoring.set_events(TOOL, EVENTS.LINE)
    script = load("for x in [1, 2] {\n  x;\n  x + 1;\n}\n5")
    assert [script.run() for _ in range(2)] == [5, 5]
    assert told == [("LINE", line) for line in (1, 2, 3, 2, 5, 2, 2)]
    told.clear()
    monitoring.restart_events()
    script.run()
    assert told == [("LINE", line) for line in (1, 2, 3, 2, 5)]


def test_each_call_is_disabled_by_itself(load: Load, told: Told) -> None:
    def disable(code: Any, _offset: int, callable: object, _arg0: object) -> object:  # noqa: A002
        if not code.co_filename.endswith(".rhai"):
            return None
        told.append((callable,))
        return monitoring.DISABLE if callable is abs else None

    monitoring.register_callback(TOOL, EVENTS.CALL, disable)
    monitoring.set_events(TOOL, EVENTS.CALL)
    script = load("first(-1) + second(2)", first=abs, second=int)
    assert [script.run() for _ in range(2)] == [3, 3]
    assert told == [(abs,), (int,), (int,)]


def test_local_events_that_a_start_asks_for_are_told(load: Load, told: Told) -> None:
    def start(code: Any, _offset: int) -> None:
        if code.co_qualname == "f":
            monitoring.set_local_events(TOOL, code, EVENTS.LINE)

    monitoring.register_callback(TOOL, EVENTS.PY_START, start)
    monitoring.set_events(TOOL, EVENTS.PY_START)
    load("fn f() {\n 1\n}\nf()").run()
    assert told == [("LINE", "f", 2)]


def test_exception_of_a_python_function(load: Load, told: Told, tmp_path: Path) -> None:
    error = LookupError("from Python")

    def fails() -> None:
        raise error

    text = "fn inner() {\n  1;\n  fails()\n}\ninner();"
    with pytest.raises(LookupError) as raised:
        load(text, fails=fails).run()
    assert raised.value is error
    assert error.__notes__ == [f"called at {tmp_path}/test.rhai:3"]
    assert told[-4:] == [
        ("RAISE", "inner", 3, error),
        ("PY_UNWIND", "inner", 3, error),
        ("RAISE", "<script>", 5, error),
        ("PY_UNWIND", "<script>", 5, error),
    ]


def test_script_can_catch_it_and_throw_it_again(load: Load, told: Told) -> None:
    errors = [LookupError("first"), LookupError("second")]

    def fails(number: int) -> None:
        raise errors[number]

    text = "fn f(n) { fails(n) }\ntry { f(0) } catch (e) { }\ntry { f(1) } catch (e) {\n throw e;\n}"
    with pytest.raises(LookupError) as raised:
        load(text, fails=fails).run()
    assert raised.value is errors[1]
    assert [event for event in told if event[0] == "PY_UNWIND"] == [
        ("PY_UNWIND", "f", 1, errors[0]),
        ("PY_UNWIND", "f", 1, errors[1]),
        ("PY_UNWIND", "<script>", 4, errors[1]),
    ]


def test_error_of_a_script_is_one_exception(load: Load, told: Told, rhai: Any, tmp_path: Path) -> None:
    with pytest.raises(rhai.ScriptError) as raised:
        load("fn f(x) {\n 1 / x\n}\nf(0)").run()
    assert str(raised.value).startswith(f"{tmp_path}/test.rhai:2: Division by zero")
    left = [event for event in told if event[0] in ("RAISE", "PY_UNWIND")]
    assert [event[:3] for event in left] == [
        ("RAISE", "f", 2),
        ("PY_UNWIND", "f", 2),
        ("RAISE", "<script>", 4),
        ("PY_UNWIND", "<script>", 4),
    ]
    assert all(event[3] is raised.value for event in left)


@pytest.mark.parametrize("event", NAMES)
def test_what_a_callback_raises_stops_the_script(load: Load, told: Told, event: str) -> None:
    error = LookupError("from the callback")

    def fails(code: Any, *rest: object) -> None:
        if code.co_filename.endswith(".rhai") and code.co_qualname == "f":
            raise error
        tell(code, *rest)

    def raises() -> None:
        raise ValueError("from Python")

    tell = monitoring.register_callback(TOOL, getattr(EVENTS, event), fails)
    last = "raises()" if event in ("RAISE", "PY_UNWIND") else "returns()"
    text = f"fn f() {{\n  {last}\n}}\nfn g() {{ f() }}\ntry {{ g() }} catch {{ 1 }}\n2"
    script = load(text, returns=int, raises=raises)
    with pytest.raises(LookupError) as raised:
        script.run()
    assert raised.value is error
    left = [event[1] for event in told if event[0] == "PY_UNWIND" and event[3] is error]
    # What leaves f is not told by the callback that raises it.
    assert left == (["g", "<script>"] if event == "PY_UNWIND" else ["f", "g", "<script>"])
    # And the next run is as ever.
    monitoring.register_callback(TOOL, getattr(EVENTS, event), tell)
    assert script.run() == 2


def test_nothing_is_told_without_tools(load: Load, told: Told) -> None:
    monitoring.set_events(TOOL, 0)
    assert load("fn f() { size(-1) }\nf()", size=abs).run() == 1
    assert told == []


def test_events_that_are_set_while_it_runs(load: Load, told: Told) -> None:
    def start() -> None:
        monitoring.set_events(TOOL, EVENTS.LINE)

    monitoring.set_events(TOOL, 0)
    load("1;\nstart();\n3", start=start).run()
    assert told == [("LINE", "<script>", 3)]


def test_script_that_a_script_runs(load: Load, told: Told, rhai: Any, tmp_path: Path) -> None:
    (tmp_path / "inner.rhai").write_text("fn g() { 2 }\ng()")
    inner = rhai.Script(tmp_path / "inner.rhai")
    assert load("fn f() { inner() }\nf() + 1", inner=inner.run).run() == 3
    assert [event[1] for event in told if event[0] == "PY_RETURN"] == ["g", "<script>", "f", "<script>"]


VALUES = [
    None,
    True,
    -(2**63),
    1.5,
    "é\0",
    [],
    [1, ["x", None]],
    {"a": {"b": [False]}, "": 0},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_go_both_ways(load: Load, value: object) -> None:
    for got in (
        load("value").run(value=value),
        load("same(value)", same=lambda it: it).run(value=value),
        # A variable of a closure is shared.
        load("let f = || value; same(value)", same=lambda it: it).run(value=value),
    ):
        assert (type(got), got) == (type(value), value)


def test_values_that_scripts_do_not_have(load: Load) -> None:
    cyclic: list[object] = []
    cyclic.append(cyclic)
    script = load("value")
    for value, error in ((object(), TypeError), (2**63, OverflowError), ({1: 2}, TypeError)):
        with pytest.raises(error):
            script.run(value=value)
    with pytest.raises(RecursionError):
        script.run(value=cyclic)
    with pytest.raises(TypeError, match="no values of the type Fn"):
        load("|x| x").run()
    with pytest.raises(TypeError, match="no values of the type object"):
        load("make()", make=object).run()


def test_value_that_python_does_not_have_is_told_as_text(load: Load, told: Told) -> None:
    assert load("fn f() { |x| x }\nf(); 1").run() == 1
    (returned,) = (event[3] for event in told if event[:2] == ("PY_RETURN", "f"))
    assert isinstance(returned, str)


def test_print_is_given(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    load("print(1)", print=print).run()
    load("print(2)").run()
    assert capsys.readouterr().out == "1\n"


def test_exit_returns_from_all_functions(load: Load, told: Told) -> None:
    assert load("fn f() { exit(7); }\nf();\n8").run() == 7
    assert [event for event in told if event[0] not in ("PY_START", "LINE")] == [
        ("PY_RETURN", "f", 1, 7),
        ("PY_RETURN", "<script>", 2, 7),
    ]


def test_recursion_is_limited(load: Load, rhai: Any, told: Told) -> None:
    with pytest.raises(rhai.ScriptError, match="Stack overflow"):
        load("fn f(n) { f(n + 1) + 1 }\nf(0)").run()
    names = [event[0] for event in told]
    assert names.count("PY_START") == names.count("PY_UNWIND") > 60


def test_recursion_through_python_is_limited(load: Load) -> None:
    script: Any = load(
        "fn f(n) { if n == 0 { again() } else { f(n - 1) } }\nf(40)", again=lambda: script.run()
    )
    with pytest.raises(RecursionError):
        script.run()


def test_interrupt_stops_a_script(load: Load) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            load("loop { try { 1; } catch { } }").run()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_what_is_no_script_is_refused(load: Load, tmp_path: Path) -> None:
    with pytest.raises(SyntaxError) as refused:
        load("let x = 1;\nlet y = (2;")
    error = refused.value
    assert (error.filename, error.lineno, error.text) == (f"{tmp_path}/test.rhai", 2, "let y = (2;")
    with pytest.raises(SyntaxError, match="eval"):
        load("eval('1')")
    with pytest.raises(NotImplementedError, match="the method f is defined for several types"):
        load("fn int.f() { 1 }\nfn string.f() { 2 }")
    with pytest.raises(TypeError, match="n is not callable"):
        load("1", n=1)
    with pytest.raises(FileNotFoundError):
        load("1").__class__(tmp_path / "missing.rhai")


def test_it_describes_itself(load: Load, tmp_path: Path) -> None:
    assert repr(load("1")) == f"<rhai script {tmp_path}/test.rhai>"
