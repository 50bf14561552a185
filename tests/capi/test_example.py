"""That `examples/c` does what its README shows, by the README's commands, and what it says beyond that."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import build
import example
import monitrace
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/c"
SOURCE = EXAMPLE / "postfix.c"
TOOL = 2

# Its own slots are made of functions, which pedantic C does not allow in a pointer to anything.
WARNINGS = ("-Wall", "-Wextra", "-Werror")

FUNCTIONS = {"discount": lambda price: price * 0.9, "round": round, "hex": hex}
ORDER = (EXAMPLE / "order.postfix").read_text()

monitoring = monitrace.install()
EVENTS = monitoring.events


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the folder, with the module of the README's first command."""
    folder = tmp_path_factory.mktemp("example") / "c"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("*.so"))
    (compiler, shown), *_ = example.commands(EXAMPLE)
    assert (example.shell(compiler, folder), shown) == ("", "")
    return folder


@pytest.fixture(scope="module")
def postfix(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("postfix")
    return build.load(build.compile_module(SOURCE, folder, warnings=WARNINGS))


@pytest.fixture
def told() -> Iterator[list[tuple[object, ...]]]:
    """The lines and ends of postfix programs, told to a tool that disables each line."""
    told: list[tuple[object, ...]] = []

    def is_ours(code: object) -> bool:
        return type(code).__name__ == "Program"

    def line(code: object, number: int) -> object:
        if is_ours(code):
            told.append(("LINE", number))
        return monitoring.DISABLE

    def unwind(code: object, _offset: int, exception: BaseException) -> None:
        if is_ours(code):
            told.append(("PY_UNWIND", type(exception)))

    monitoring.use_tool_id(TOOL, "test")
    monitoring.register_callback(TOOL, EVENTS.LINE, line)
    monitoring.register_callback(TOOL, EVENTS.PY_UNWIND, unwind)
    monitoring.set_events(TOOL, EVENTS.LINE | EVENTS.PY_UNWIND)
    yield told
    monitoring.set_events(TOOL, 0)
    monitoring.register_callback(TOOL, EVENTS.LINE, None)
    monitoring.register_callback(TOOL, EVENTS.PY_UNWIND, None)
    monitoring.free_tool_id(TOOL)


def test_commands_of_the_readme_print_what_it_shows(built: Path) -> None:
    (_, *rest) = example.commands(EXAMPLE)
    assert len(rest) == 2
    for line, shown in rest:
        assert example.shell(line, built) == shown


def test_it_runs_without_the_package(built: Path) -> None:
    # Neither the environment's packages nor its variables.
    alone = [sys.executable, "-E", "-S"]
    absent = subprocess.run([*alone, "-c", "import monitrace"], capture_output=True, text=True, check=False)
    assert "No module named 'monitrace'" in absent.stderr
    ran = subprocess.run([*alone, "shop.py"], cwd=built, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == (example.commands(EXAMPLE)[1][1], "")


@pytest.mark.skipif(sys.version_info < (3, 13), reason="before 3.13 the interpreter has no C API of its own")
def test_the_interpreter_tells_of_it_without_the_package(built: Path) -> None:
    program = """
import runpy, sys
def line(code, number):
    if type(code).__name__ == "Program":
        print(code.co_filename, number)
m = sys.monitoring
m.use_tool_id(2, "test")
m.register_callback(2, m.events.LINE, line)
m.set_events(2, m.events.LINE)
sys.path.insert(0, "")
runpy.run_path("shop.py")
"""
    alone = [sys.executable, "-E", "-S", "-c", program]
    ran = subprocess.run(alone, cwd=built, capture_output=True, text=True, check=False)
    lines = [line for line in ran.stdout.splitlines() if ": " not in line]
    expected = [*(f"order.postfix {line}" for line in range(2, 7)), "label.postfix 2", "label.postfix 3"]
    assert (lines, ran.stderr) == (expected, "")


def test_each_line_is_disabled_by_itself(postfix: ModuleType, told: list[tuple[object, ...]]) -> None:
    program = postfix.Program(ORDER, "order.postfix")
    assert [program.run(FUNCTIONS) for _ in range(3)] == [70, 70, 70]
    assert told == [("LINE", line) for line in range(2, 7)]


def test_each_call_is_disabled_by_itself_and_with_its_end(postfix: ModuleType, told: list[object]) -> None:
    program = postfix.Program("1.5\nround\nhex", "calls.postfix")
    calls: list[object] = []
    ends: list[object] = []

    def call(code: object, _offset: int, callable: object, _arg0: object) -> object:  # noqa: A002
        if code is not program:
            return None
        calls.append(callable)
        return monitoring.DISABLE if callable is hex else None

    def end(code: object, _offset: int, callable: object, _arg0: object) -> None:  # noqa: A002
        if code is program:
            ends.append(callable)

    for event, callback in ((EVENTS.CALL, call), (EVENTS.C_RETURN, end), (EVENTS.C_RAISE, end)):
        monitoring.register_callback(TOOL, event, callback)
    monitoring.set_events(TOOL, EVENTS.CALL)
    assert [program.run(FUNCTIONS) for _ in range(3)] == ["0x2"] * 3
    for event in (EVENTS.CALL, EVENTS.C_RETURN, EVENTS.C_RAISE):
        monitoring.register_callback(TOOL, event, None)
    assert (calls, ends, told) == ([round, hex, round, round], [round] * 3, [])


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("", ValueError, "the stack is empty"),
        ("1\n+", ValueError, "the stack is empty"),
        ("1\n0\n/", ZeroDivisionError, "division by zero"),
        ("1\nunknown", KeyError, "unknown"),
        ("1.5\nhex", TypeError, "integer"),
    ],
)
def test_error_comes_out_and_is_told(
    postfix: ModuleType, told: list[tuple[object, ...]], source: str, error: type[Exception], words: str
) -> None:
    program = postfix.Program(source, "wrong.postfix")
    with pytest.raises(error, match=words):
        program.run(FUNCTIONS)
    assert told[-1] == ("PY_UNWIND", error)


def test_what_a_callback_raises_comes_out(postfix: ModuleType, told: list[tuple[object, ...]]) -> None:
    def fails(code: object, number: int) -> None:
        if type(code).__name__ == "Program" and number == 4:
            raise LookupError("from the callback")

    monitoring.register_callback(TOOL, EVENTS.LINE, fails)
    with pytest.raises(LookupError, match="from the callback"):
        postfix.Program(ORDER, "order.postfix").run(FUNCTIONS)
    assert told == [("PY_UNWIND", LookupError)]


def test_local_events_that_its_start_asks_for_are_told(
    postfix: ModuleType, told: list[tuple[object, ...]]
) -> None:
    program = postfix.Program(ORDER, "order.postfix")

    def start(code: object, _offset: int) -> None:
        if code is program:
            monitoring.set_local_events(TOOL, code, EVENTS.LINE)

    monitoring.register_callback(TOOL, EVENTS.PY_START, start)
    monitoring.set_events(TOOL, EVENTS.PY_START)
    program.run(FUNCTIONS)
    monitoring.set_local_events(TOOL, program, 0)
    monitoring.register_callback(TOOL, EVENTS.PY_START, None)
    assert told == [("LINE", line) for line in range(2, 7)]


def test_program_describes_itself(postfix: ModuleType) -> None:
    program = postfix.Program(ORDER, "order.postfix")
    assert (program.co_name, program.co_qualname) == ("<program>", "<program>")
    assert (program.co_filename, program.co_firstlineno) == ("order.postfix", 1)
    assert list(program.co_lines()) == [(i, i + 1, i + 2) for i in range(5)]
    with pytest.raises(TypeError):
        postfix.Program(ORDER)
