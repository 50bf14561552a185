"""That `examples/rules` does what its README shows, and that rules mean and tell what Python's code does."""

import ast
import gc
import importlib
import json
import re
import shutil
import signal
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import command
import example
import monitrace
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/rules"
LANGUAGE = Path(__file__).with_name("language.rules")
LANGUAGE_CASES = [
    node.name
    for node in ast.parse(LANGUAGE.read_text()).body
    if isinstance(node, ast.FunctionDef) and not node.args.args
]
TOOL = 2

monitoring = monitrace.install()
EVENTS = monitoring.events

Told = list[tuple[object, ...]]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the README's first command installs the example."""
    folder = tmp_path_factory.mktemp("rules")
    example.install(EXAMPLE, folder)
    return folder


@pytest.fixture(scope="module")
def rules(package: Path) -> Iterator[Any]:
    """The module, imported from there."""
    sys.path.insert(0, str(package))
    yield importlib.import_module("rules")
    sys.path.remove(str(package))


@pytest.fixture
def shop(package: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs commands of the README in a copy of its folder, in a shell whose python is this one."""
    folder = tmp_path / "shop"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("src", "target", "*.toml", "*.lock"))

    def shell(line: str, *, status: int = 0, **changes: str) -> str:
        return example.shell(line, folder, status=status, PYTHONPATH=example.path(package), **changes)

    return shell


Load = Callable[..., dict[str, Any]]


@pytest.fixture
def load(rules: Any, tmp_path: Path) -> Load:
    """Loads rules from their text."""

    def load(text: str, **options: object) -> dict[str, Any]:
        file = tmp_path / "test.rules"
        file.write_text(text)
        names: dict[str, Any] = rules.load(file, **options)
        return names

    return load


@pytest.fixture
def told() -> Iterator[Told]:
    """What is told of code from rule files, while there are global events."""
    told: Told = []

    def line_of(code: Any, offset: int) -> int | None:
        (line,) = (line for start, end, line in code.co_lines() if start <= offset < end)
        return int(line) if line else None

    def callback(event: str) -> Callable[..., None]:
        def tell(code: Any, place: int, *rest: object) -> None:
            if not code.co_filename.endswith(".rules"):
                return
            if event == "PY_UNWIND":
                told.append((event, code.co_name, *map(type, rest)))
            elif event == "LINE":
                told.append((event, code.co_name, place))
            else:
                told.append((event, code.co_name, line_of(code, place), *map(type, rest)))

        return tell

    names = ("PY_START", "LINE", "PY_RETURN", "RAISE", "PY_UNWIND")
    monitoring.use_tool_id(TOOL, "test")
    for name in names:
        monitoring.register_callback(TOOL, getattr(EVENTS, name), callback(name))
    yield told
    monitoring.set_events(TOOL, 0)
    for name in names:
        monitoring.register_callback(TOOL, getattr(EVENTS, name), None)
    monitoring.free_tool_id(TOOL)


def python(path: Path) -> dict[str, Any]:
    """What a rule file defines if it is run as Python's own code."""
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        # Some of what is tested is bad style.
        warnings.simplefilter("ignore", SyntaxWarning)
        exec(compile(path.read_text(), path, "exec"), names)
    return names


def outcome(function: Callable[..., object], *arguments: object) -> object:
    """What it returned or raised, in a form that can be compared."""
    try:
        return repr(function(*arguments))
    except Exception as error:
        # Newer versions of Python give more numbers.
        return type(error), str(error).partition(" (expected")[0], repr(error.__cause__)


def test_commands_of_the_readme_print_what_it_shows(shop: Callable[..., str]) -> None:
    (_, *rest) = example.commands(EXAMPLE)
    assert len(rest) == 4
    for line, shown in rest:
        assert shop(line) == shown


def test_without_events_there_is_no_report(shop: Callable[..., str]) -> None:
    (run, _), (report, shown) = example.commands(EXAMPLE)[2:4]
    assert "88%" in shown
    shop(run.replace("sysmon", "ctrace"))
    assert shop(report, status=1) == "No data to report.\n"


def test_coverage_sets_local_events_on_the_code_like(shop: Callable[..., str], tmp_path: Path) -> None:
    program = """
import sys
from shop import shipping
for name in ("postage", "discount", "invoice"):
    code = shipping[name].__code__
    events = sys.monitoring.get_local_events(sys.monitoring.COVERAGE_ID, code)
    print(type(code).__name__, code.co_name, events == sys.monitoring.events.LINE)
"""
    (tmp_path / "shop/look.py").write_text(program)
    (run, _), (_, printed) = example.commands(EXAMPLE)[2], example.commands(EXAMPLE)[1]
    looked = "CodeLike postage True\nCodeLike discount True\nCodeLike invoice True\n"
    assert shop(run.replace("shop.py", "look.py")) == printed + looked


@pytest.mark.parametrize("case", LANGUAGE_CASES)
def test_it_means_what_it_means_in_python(rules: Any, case: str) -> None:
    assert outcome(rules.load(LANGUAGE)[case]) == outcome(python(LANGUAGE)[case])


@pytest.mark.skipif(
    sys.version_info < (3, 14), reason="what is told of Python's code differs with the version"
)
@pytest.mark.parametrize("case", LANGUAGE_CASES)
def test_it_tells_what_python_tells(rules: Any, told: Told, case: str) -> None:
    def events(function: Callable[[], object]) -> Told:
        told.clear()
        monitoring.set_events(
            TOOL, EVENTS.PY_START | EVENTS.LINE | EVENTS.PY_RETURN | EVENTS.RAISE | EVENTS.PY_UNWIND
        )
        outcome(function)
        monitoring.set_events(TOOL, 0)
        return told.copy()

    expected = events(python(LANGUAGE)[case])
    assert expected
    assert events(rules.load(LANGUAGE)[case]) == expected


CALL_ALL = """
for case in {cases}:
    try:
        names[case]()
    except Exception:
        pass
"""


def test_coverage_is_that_of_python(package: Path, tmp_path: Path) -> None:
    # The core tells branches from 3.14 on.
    options = ["--branch"] if sys.version_info >= (3, 14) else []
    env = command.environment(
        PYTHONPATH=example.path(package), COVERAGE_CORE="sysmon", PYTHONWARNINGS="ignore"
    )
    shutil.copy(LANGUAGE, tmp_path)
    kinds = {
        "rules": "import rules; names = rules.load('language.rules')",
        "python": "names = {}; exec(compile(open('language.rules').read(), 'language.rules', 'exec'), names)",
    }
    reports = {}
    for kind, define in kinds.items():
        program = tmp_path / f"run_{kind}.py"
        program.write_text(define + CALL_ALL.format(cases=LANGUAGE_CASES))
        coverage = ("-m", "coverage", "run", *options, "--include=*.rules,run_*.py", str(program))
        done = command.monitrace("run", *coverage, cwd=tmp_path, env=env)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        done = command.python("-m", "coverage", "json", "-q", cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stdout
        report = json.loads((tmp_path / "coverage.json").read_text())
        reports[kind] = report["files"]["language.rules"]
    assert reports["rules"]["executed_lines"]
    assert reports["rules"] == reports["python"]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("x = (1 +", (1, 9), "unexpected EOF"),
        ("if x:\npass", (2, 1), "Expected an indented block"),
        ("x = 1\nx.y", (2, 1), "an attribute is no part of the rules' language"),
        ("é = 'é'.join", (1, 5), "an attribute is"),
        ("x = [y for y in z]", (1, 5), "a comprehension is"),
        ("x = f'{y}'", (1, 5), "an f-string is"),
        ("import os", (1, 1), "an import is"),
        ("class X: pass", (1, 1), "a class is"),
        ("f(x=1)", (1, 3), "a keyword argument is"),
        ("f(*x)", (1, 3), "'*' is"),
        ("x: int = 1", (1, 1), "an annotation is"),
        ("def f(x=1): pass", (1, 9), "a default is"),
        ("def f(*x): pass", (1, 7), "a parameter with '*' is"),
        ("def f(x, x): pass", (1, 10), "duplicate parameter 'x'"),
        ("def f():\n    def g(): pass", (2, 5), "a function in a function is"),
        ("return 1", (1, 1), "'return' outside function"),
        ("if 1:\n  break", (2, 3), "'break' outside loop"),
        ("continue", (1, 1), "'continue' not in loop"),
        ("x = 2 ** 3", (1, 5), "'**' is"),
        ("with x: pass", (1, 1), "'with' is"),
        ("x = " + "-" * 1000 + "1", (1, 104), "nested more than 100 levels deep"),
        ("x = " + "(" * 60000, None, ""),
        ("x = " + "not " * 16000 + "1", None, "nested"),
        ("x = " + "[" * 32000 + "]" * 32000, None, "nested"),
        ("#" * 70000, None, "at most 65536 bytes"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_what_is_no_rule_is_refused(
    load: Load, tmp_path: Path, text: str, place: tuple[int, int] | None, words: str
) -> None:
    with pytest.raises(SyntaxError) as refused:
        load(text)
    error = refused.value
    assert words in str(error)
    if place:
        assert (error.lineno, error.offset) == place
        assert error.filename == str(tmp_path / "test.rules")
        assert error.text is not None
        assert error.text.rstrip("\n") == text.splitlines()[place[0] - 1]


def test_a_rule_reaches_what_it_is_given(load: Load) -> None:
    names = load("def twice(): return double(21)", names={"double": lambda number: number * 2})
    assert names["twice"]() == 42
    for name in ("open", "eval", "getattr", "type", "__import__", "__builtins__", "BaseException", "object"):
        with pytest.raises(NameError):
            load(name)


def test_error_says_where(load: Load, tmp_path: Path) -> None:
    names = load("def inner(x):\n    return 1 / x\n\ndef outer(x):\n    y = 1\n    return inner(x)\n")
    with pytest.raises(ZeroDivisionError) as raised:
        names["outer"](0)
    file = tmp_path / "test.rules"
    assert raised.value.__notes__ == [
        f'  File "{file}", line 2, in inner',
        f'  File "{file}", line 6, in outer',
    ]


def test_wrong_number_of_arguments(load: Load) -> None:
    names = load("def one(x): return x")
    with pytest.raises(TypeError, match=re.escape("one() takes 1 arguments but 2 were given")):
        names["one"](1, 2)


def test_steps_are_limited_and_a_rule_cannot_help_it(load: Load, rules: Any) -> None:
    text = "def f(n):\n while n:\n  try: n += 1\n  except: pass\n return 1"
    function = load(text, steps=1000)["f"]
    for _ in range(2):
        with pytest.raises(rules.LimitExceeded, match="more than 1000 steps"):
            function(1)
        # Each call of the host has its own.
        assert function(0) == 1
    with pytest.raises(rules.LimitExceeded):
        load("while True: pass", steps=1000)


def test_depth_is_limited(load: Load) -> None:
    names = load(
        "def f(n): return f(n + 1)\n"
        "def g(n): return list(map(g, [n]))\n"
        "def h(n):\n"
        "    try: return f(n)\n"
        "    except RecursionError: return 'caught'\n"
    )
    for name in "fg":
        with pytest.raises(RecursionError):
            names[name](0)
    assert names["h"](0) == "caught"


def test_deepest_nesting_can_be_evaluated(load: Load) -> None:
    # Levels of a statement and an expression are counted, too: this is as deep as they go.
    assert load("x = " + "-" * 97 + "1")["x"] == -1
    # Parentheses alone are none.
    assert load("x = " + "(" * 30000 + "1" + ")" * 30000)["x"] == 1
    text = "".join(f"{' ' * depth}if 1:\n" for depth in range(98))
    assert load(f"{text}{' ' * 98}x = 1\n")["x"] == 1


def test_interrupt_stops_a_rule(load: Load) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    text = "def f():\n    while True:\n        try:\n            0\n        except:\n            0"
    function = load(text, steps=10**15)["f"]
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            function()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_exception_of_a_callback_is_the_rules_own(load: Load, told: Told) -> None:
    names = load(
        "def f():\n    try:\n        x = 1\n        y = 2\n    except LookupError: return 'caught'\n    z = 3"
    )

    def fails_on(wanted: int) -> None:
        def line(code: Any, number: int) -> None:
            if code is names["f"].__code__ and number == wanted:
                raise LookupError("from the callback")

        monitoring.register_callback(TOOL, EVENTS.LINE, line)
        monitoring.set_events(TOOL, EVENTS.LINE | EVENTS.RAISE | EVENTS.PY_UNWIND)

    fails_on(4)
    assert names["f"]() == "caught"
    assert told == [("RAISE", "f", 4, LookupError)]
    told.clear()
    fails_on(6)
    with pytest.raises(LookupError, match="from the callback"):
        names["f"]()
    assert told == [("RAISE", "f", 6, LookupError), ("PY_UNWIND", "f", LookupError)]


def test_end_of_a_call_is_told_with_the_call(load: Load) -> None:
    names = load("def f(x):\n    return g(max(x, 5))\ndef g(x):\n    return int('x')")
    told: Told = []
    calls = ("CALL", "C_RETURN", "C_RAISE")

    def tell(event: str) -> Callable[..., None]:
        def callback(code: Any, _offset: int, callable_: object, arg0: object) -> None:
            if code.co_filename.endswith("test.rules"):
                told.append((event, callable_, arg0))

        return callback

    monitoring.use_tool_id(TOOL, "test")
    for event in calls:
        monitoring.register_callback(TOOL, getattr(EVENTS, event), tell(event))
    monitoring.set_events(TOOL, EVENTS.CALL | EVENTS.C_RETURN | EVENTS.C_RAISE)
    with pytest.raises(ValueError, match="invalid literal"):
        names["f"](3)
    monitoring.set_events(TOOL, 0)
    for event in calls:
        monitoring.register_callback(TOOL, getattr(EVENTS, event), None)
    monitoring.free_tool_id(TOOL)
    # Of a rule, the end is no C function's.
    assert told == [
        ("CALL", max, 3),
        ("C_RETURN", max, 3),
        ("CALL", names["g"], 5),
        ("CALL", int, "x"),
        ("C_RAISE", int, "x"),
    ]


def test_files_that_cannot_be_read(rules: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rules.load(tmp_path / "missing.rules")
    (tmp_path / "latin.rules").write_bytes(b"x = '\xe9'")
    with pytest.raises(OSError, match="UTF-8"):
        rules.load(tmp_path / "latin.rules")


def test_program_that_is_not_needed_any_more_is_freed(load: Load) -> None:
    names = load("def f(): return f")
    assert names["f"]() is names["f"]
    assert str(names["f"]).startswith("<rule f of ")
    code = weakref.ref(names["f"].__code__)
    del names
    gc.collect()
    assert code() is None
