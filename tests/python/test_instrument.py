"""What rewriting on 3.11 must leave alone: what programs see, and that they run whatever is switched."""

# The programs have the shapes that matter here, not the shortest.
# ruff: noqa: C400, C416, PERF401, PT017, RET504, SIM105, UP028

import copy
import cProfile
import ctypes
import dis
import faulthandler
import functools
import gc
import inspect
import io
import marshal
import operator
import pickle
import pstats
import subprocess
import sys
import textwrap
import threading
import traceback
import types
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import monitrace
import pytest

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="from 3.12 on the interpreter makes the events itself"
)

TOOL = 2
BASIC = ("LINE", "PY_START", "PY_RETURN")
EVENTS = (*BASIC, "CALL", "C_RETURN", "C_RAISE")


class Tool:
    """One tool with all events that are made, and what it was told of one file."""

    def __init__(self) -> None:
        self.monitoring = monitrace.install()
        self.events = self.monitoring.events
        self.all = 0
        self.told: list[tuple[str, str, int]] = []
        """Without calls: there are too many to show."""
        self.calls = 0
        self.monitoring.use_tool_id(TOOL, "test_instrument")
        for name in EVENTS:
            self.register(name, self.teller(name) if name in BASIC else self.count_call)
            self.all |= getattr(self.events, name)

    def teller(self, name: str) -> Callable[..., object]:
        def tell(code: types.CodeType, position: int, *_: object) -> None:
            if code.co_filename in (__file__, "<string>"):
                self.told.append((name, code.co_name, position))

        return tell

    def count_call(self, *_: object) -> None:
        self.calls += 1

    def register(self, name: str, callback: Callable[..., object] | None) -> None:
        self.monitoring.register_callback(TOOL, getattr(self.events, name), callback)

    def set(self, events: int | None = None) -> None:
        self.monitoring.set_events(TOOL, self.all if events is None else events)

    @contextmanager
    def on(self) -> Iterator[None]:
        self.set()
        try:
            yield
        finally:
            self.set(0)

    def names(self, code_name: str) -> list[str]:
        """The events told of code of that name."""
        return [event for event, name, _ in self.told if name == code_name]


@pytest.fixture
def tool() -> Iterator[Tool]:
    tool = Tool()
    yield tool
    tool.set(0)
    for name in EVENTS:
        tool.register(name, None)
    tool.monitoring.free_tool_id(TOOL)
    # What a tool disabled stays disabled for the next one of its id.
    tool.monitoring.restart_events()


def add(a: int, b: int = 1) -> int:
    """Add."""
    total = a + b
    return total


def divide(a: int, b: int) -> float:
    # The marks of a traceback show which part failed.
    return (a / 1) + (a / b) + (a / 2)


def generate(n: int) -> Generator[int, None, None]:
    for i in range(n):
        yield i


async def wait_for_nothing() -> int:
    return 1


async def generate_asynchronously() -> Any:
    yield 1


# What the program sees.


def test_code_objects_are_the_programs_own(tool: Tool) -> None:
    codes = add.__code__, generate.__code__
    with tool.on():
        assert (add.__code__, generate.__code__) == codes
        assert add.__code__ is codes[0]
        generator: Any = generate(1)
        assert generator.gi_code is codes[1]
        assert generator.gi_frame.f_code is codes[1]
        next(generator)
        assert generator.gi_code is codes[1]
        assert generator.gi_frame.f_code is codes[1]
        coroutine: Any = wait_for_nothing()
        assert coroutine.cr_code is wait_for_nothing.__code__
        coroutine.close()
        assert generate_asynchronously().ag_code is generate_asynchronously.__code__
        assert sys._getframe().f_code is test_code_objects_are_the_programs_own.__code__
    assert add.__code__ is codes[0]
    assert generator.gi_code is codes[1]
    assert generator.gi_frame.f_code is codes[1]


def test_constants_are_the_programs_own(tool: Tool) -> None:
    def outer() -> Callable[[], int]:
        def inner() -> int:
            return 1

        return inner

    nested = [const for const in outer.__code__.co_consts if isinstance(const, types.CodeType)]
    with tool.on():
        assert outer().__code__ is nested[0]
        assert [c for c in outer.__code__.co_consts if isinstance(c, types.CodeType)] == nested
    assert outer().__code__ is nested[0]


def failure(call: Callable[[], object]) -> list[Any]:
    """All that a traceback says."""
    try:
        call()
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        places = [(f.lineno, f.end_lineno, f.colno, f.end_colno, f.name) for f in frames[1:]]
        offsets = []
        step = error.__traceback__.tb_next if error.__traceback__ else None
        while step is not None:
            offsets.append((step.tb_lasti, step.tb_lineno, step.tb_frame.f_lasti, step.tb_frame.f_code))
            step = step.tb_next
        return [places, offsets, traceback.format_exc().splitlines()[3:]]
    raise AssertionError("nothing was raised")


def nested_failure() -> None:
    try:
        divide(1, 0)
    except ZeroDivisionError as error:
        raise ValueError("again") from error


def failure_in_generator() -> None:
    list(1 // i for i in (1, 0))


def failure_in_comprehension() -> None:
    [1 // i for i in (1, 0)]


class Manager:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        raise KeyError("left")


def failure_in_exit() -> None:
    with Manager():
        divide(1, 0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: divide(1, 0),
        nested_failure,
        failure_in_generator,
        failure_in_comprehension,
        failure_in_exit,
        lambda: exec("def f():\n  return 1 + \\\n  (2 / 0)\nf()"),
    ],
)
def test_tracebacks_are_as_without_events(tool: Tool, call: Callable[[], object]) -> None:
    without = failure(call)
    with tool.on():
        assert failure(call) == without
    assert failure(call) == without


def test_the_interpreter_prints_tracebacks_as_without_events(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import sys

            if "on" in sys.argv:
                import monitrace

                monitoring = monitrace.install()
                events = monitoring.events
                monitoring.use_tool_id(2, "test")
                for event in (events.LINE, events.PY_START, events.PY_RETURN):
                    monitoring.register_callback(2, event, lambda *_: None)
                monitoring.set_events(2, events.LINE | events.PY_START | events.PY_RETURN)


            def divide(a, b):
                return (a / 1) + (a / b)


            def both(values):
                return [
                    divide(1, value)
                    for value in values
                ]


            def fail():
                try:
                    both([1, 0])
                except ZeroDivisionError as error:
                    raise ValueError(sys._getframe(0).f_lineno) from error


            fail()
            """
        )
    )
    printed = [
        subprocess.run(
            [sys.executable, program, *arguments], capture_output=True, text=True, check=False
        ).stderr
        for arguments in ((), ("on",))
    ]
    assert "~~^~~" in printed[0]
    assert printed[1] == printed[0]


def test_tracebacks_that_a_program_makes(tool: Tool) -> None:
    def rebuilt() -> list[str]:
        try:
            divide(1, 0)
        except ZeroDivisionError as error:
            assert error.__traceback__ is not None
            step = error.__traceback__.tb_next
            assert step is not None
            made = types.TracebackType(None, step.tb_frame, step.tb_lasti, step.tb_lineno)
            assert made.tb_lasti == step.tb_lasti
            return traceback.format_tb(made)
        return []

    without = rebuilt()
    with tool.on():
        assert rebuilt() == without


def test_offsets_of_waiting_frames(tool: Tool) -> None:
    def offsets() -> tuple[int, int]:
        def inner() -> int:
            return sys._getframe(1).f_lasti

        generator: Any = generate(2)
        next(generator)
        return inner(), generator.gi_frame.f_lasti

    without = offsets()
    with tool.on():
        assert offsets() == without


def test_inspect(tool: Tool) -> None:
    def seen() -> list[Any]:
        return [
            inspect.signature(add),
            inspect.getsource(add),
            inspect.getdoc(add),
            inspect.getfile(add),
            inspect.getclosurevars(add),
            inspect.getgeneratorstate(generate(1)),
            list(add.__code__.co_lines()),
            list(add.__code__.co_positions()),
            add.__code__.co_stacksize,
            add.__code__.co_exceptiontable,
            add.__code__.co_code,
            inspect.getframeinfo(sys._getframe()).positions is not None,
        ]

    without = seen()
    with tool.on():
        assert seen() == without


def test_code_objects_hash_compare_and_marshal(tool: Tool) -> None:
    code = add.__code__
    before = hash(code), marshal.dumps(code)
    with tool.on():
        add(1)
        assert (hash(add.__code__), marshal.dumps(add.__code__)) == before
        assert marshal.loads(before[1]) == add.__code__
        assert code.replace() == add.__code__
        assert add.__code__.replace(co_name="other").co_name == "other"
        assert copy.copy(add) is add
        assert copy.deepcopy(add) is add
        assert pickle.loads(pickle.dumps(add)) is add


# Functions made and changed while the events are on.


def test_functions_made_from_code(tool: Tool) -> None:
    with tool.on():
        made = types.FunctionType(add.__code__, globals(), "made", (10,))
        assert made(1, 2) == 3
        assert made.__code__ is add.__code__
        with_default = types.FunctionType(add.__code__, globals(), argdefs=(10,))
        assert with_default(1) == 11
        replaced = types.FunctionType(add.__code__.replace(co_name="replaced"), globals())
        assert replaced(1, 2) == 3
    assert tool.names("add").count("PY_START") == 2
    assert tool.names("replaced") == ["PY_START", "LINE", "LINE", "PY_RETURN"]


def test_a_function_is_given_other_code(tool: Tool) -> None:
    def first() -> int:
        return 1

    def second() -> int:
        return 2

    with tool.on():
        assert first() == 1
        first.__code__ = second.__code__
        assert first() == 2
        assert first.__code__ is second.__code__
    assert first() == 2
    with tool.on():
        assert first() == 2
    assert tool.names("second") == ["PY_START", "LINE", "PY_RETURN"] * 2


def test_closures_and_cells(tool: Tool) -> None:
    def outer(x: int) -> tuple[Callable[[], int], Callable[[], None]]:
        def get() -> int:
            return x

        def increase() -> None:
            nonlocal x
            x += 1

        return get, increase

    get, increase = outer(1)
    with tool.on():
        increase()
        late, _ = outer(5)
        assert (get(), late()) == (2, 5)
    increase()
    assert (get(), late()) == (3, 5)


def test_new_code_is_told(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imported_late.py").write_text("def imported():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    told: list[str] = []

    def start(code: types.CodeType, _: int) -> None:
        if code.co_filename in ("<string>", str(tmp_path / "imported_late.py")):
            told.append(code.co_name)

    tool.register("PY_START", start)
    with tool.on():
        exec("def executed(): return [evaluated for evaluated in (1, 2)]\nexecuted()", {})
        assert eval("(lambda: 3)()") == 3
        import imported_late  # type: ignore[import-not-found]

        imported_late.imported()
    sys.modules.pop("imported_late")
    modules = ["<module>", "executed", "<listcomp>", "<module>", "<lambda>", "<module>", "imported"]
    assert told == modules


# What goes away.


def test_code_objects_go_with_their_last_function(tool: Tool) -> None:
    def make() -> tuple[weakref.ref[types.CodeType], Callable[[], object]]:
        namespace: dict[str, Any] = {}
        exec("def f():\n    def g(): yield 1\n    return list(g())", namespace)
        return weakref.ref(namespace["f"].__code__), namespace["f"]

    with tool.on():
        code, function = make()
        function()
        del function
        gc.collect()
        assert code() is None
    code, function = make()
    with tool.on():
        function()
    function()
    del function
    gc.collect()
    assert code() is None


def test_switching_again_and_again_tells_the_same(tool: Tool) -> None:
    namespace: dict[str, Any] = {}
    exec("def f(x):\n    def g():\n        yield x\n    return sum(\n        g())\n", namespace)
    function, code = namespace["f"], namespace["f"].__code__
    events = tool.events
    sets = [tool.all, events.LINE, events.PY_START | events.PY_RETURN, tool.all, events.LINE, 0]

    def told(wanted: int, local: int = 0) -> list[tuple[str, str, int]]:
        tool.told.clear()
        tool.set(wanted)
        tool.monitoring.set_local_events(TOOL, code, local)
        function(1)
        tool.monitoring.set_local_events(TOOL, code, 0)
        tool.set(0)
        function(1)
        return [event for event in tool.told if event[1] in "fg"]

    first = [told(wanted) for wanted in sets]
    assert [position for name, _, position in first[1] if name == "LINE"] == [2, 4, 5, 4, 3]
    assert [len(events) for events in first] == [9, 5, 4, 9, 5, 0]
    # Copies are kept now while events are off, with the hooks of whatever was set before.
    for _ in range(3):
        assert [told(wanted) for wanted in sets] == first
        assert told(0, events.LINE) == [event for event in first[1] if event[1] == "f"]
        assert told(0, events.PY_START) == [event for event in first[2] if event[:2] == ("PY_START", "f")]


def test_what_runs_while_copies_are_kept(tool: Tool) -> None:
    def numbers() -> Iterator[int]:
        yield 1
        yield 2
        yield 3

    for _ in range(3):
        tool.told.clear()
        with tool.on():
            going = numbers()
            assert next(going) == 1
        assert next(going) == 2
        with tool.on():
            assert next(going) == 3
        assert tool.names("numbers").count("LINE") == 2
        # It is the only holder of its code.
        assert list(types.FunctionType(numbers.__code__.replace(co_name="other"), {})()) == [1, 2, 3]


LEFT_OVER = """
import gc, os, sys
import monitrace

monitoring = monitrace.install()
events = monitoring.events
monitoring.use_tool_id(2, "test")
all_events = 0
for name in ("LINE", "PY_START", "PY_RETURN", "CALL", "C_RETURN", "C_RAISE"):
    monitoring.register_callback(2, getattr(events, name), lambda *_: None)
    all_events |= getattr(events, name)
source = "def f(x):\\n    def g(): yield x\\n    return [y for y in g()]\\nf(1)\\n"
source += "try: len(1)\\nexcept TypeError: f(*[2])\\n"

def turns(n):
    for _ in range(n):
        monitoring.set_events(2, all_events)
        exec(source, {})
        monitoring.set_events(2, events.LINE)
        exec(source, {})
        monitoring.set_events(2, 0)
    gc.collect()
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return sys.getallocatedblocks(), len(gc.get_objects()), resident

turns(400)
before = turns(400)
print(*(after - before for after, before in zip(turns(400), before)))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory in use is read from Linux's /proc")
def test_nothing_is_left_over() -> None:
    done = subprocess.run([sys.executable, "-c", LEFT_OVER], capture_output=True, text=True, check=True)
    blocks, objects, resident = map(int, done.stdout.split())
    assert blocks < 200
    assert objects < 20
    assert resident < 1 << 19


# Events that are switched while code runs.


def test_a_suspended_generator_goes_on_with_and_without_events(tool: Tool) -> None:
    generator = generate(6)
    values = [next(generator)]
    for _ in range(2):
        with tool.on():
            values.append(next(generator))
        values.append(next(generator))
    tool.told.clear()
    with tool.on():
        values.extend(generator)
    assert values == [0, 1, 2, 3, 4, 5]
    assert tool.names("generate").count("PY_RETURN") == 1


def test_a_callback_switches_events(tool: Tool) -> None:
    def start(_code: types.CodeType, _offset: int) -> None:
        tool.set(tool.all)
        tool.set(tool.events.PY_START)
        tool.set(tool.all)

    tool.register("PY_START", start)
    with tool.on():
        for i in range(50):
            assert add(i) == i + 1
    assert tool.names("add") == ["LINE", "LINE", "PY_RETURN"] * 50


def test_a_callback_switches_all_off(tool: Tool) -> None:
    def line(code: types.CodeType, _line: int) -> None:
        if code is add.__code__:
            tool.set(0)

    tool.register("LINE", line)
    tool.set()
    assert add(1) == 2
    tool.told.clear()
    assert add(1) == 2
    assert not tool.names("add")


def test_disable_and_restart_under_load(tool: Tool) -> None:
    seen: list[int] = []

    def line(code: types.CodeType, number: int) -> object:
        if code is add.__code__:
            seen.append(number)
        return tool.monitoring.DISABLE

    tool.register("LINE", line)
    with tool.on():
        for turn in range(200):
            for i in range(5):
                assert add(i) == i + 1
            assert len(seen) == 2 * (turn + 1)
            tool.monitoring.restart_events()


THREADS = 4


def test_threads_while_events_are_switched(tool: Tool) -> None:
    """Another thread's calls are told wherever the events stay on from before to after them."""
    before_and_after = threading.Lock()
    stop = threading.Event()
    counts: list[int] = [0] * THREADS
    wrong: list[object] = []
    local = threading.local()

    def start(code: types.CodeType, _offset: int) -> None:
        if code is add.__code__:
            local.started = getattr(local, "started", 0) + 1

    def work(index: int) -> None:
        while not stop.is_set():
            with before_and_after:
                on = tool.monitoring.get_events(TOOL) != 0
                local.started = 0
                for i in range(20):
                    if add(i) != i + 1:
                        wrong.append(i)
                if local.started != (20 if on else 0):
                    wrong.append((on, local.started))
            total = sum(generate(20))
            if total != 190:
                wrong.append(total)
            counts[index] += 1

    def loop(index: int) -> None:
        """Never between two calls: its one frame is moved where it stands."""
        total = 0
        while not stop.is_set():
            total = total + 1 if total < 1000 else 0
            for _ in range(3):
                total += 1
        counts[index] += total >= 0

    tool.register("PY_START", start)
    threads = [
        threading.Thread(target=work if i % 2 else loop, args=(i,), daemon=True) for i in range(THREADS)
    ]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for turn in range(150):
            with before_and_after:
                tool.set(
                    (tool.all, 0, tool.events.PY_START, tool.events.LINE)[turn % 4]
                    | (tool.events.PY_START if turn % 4 == 3 else 0)
                )
                tool.register("LINE", (lambda *_: None) if turn % 3 else (lambda *_: tool.monitoring.DISABLE))
            if turn % 5 == 0:
                tool.monitoring.restart_events()
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
        sys.setswitchinterval(interval)
        tool.set(0)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong
    assert all(counts)


def test_a_thread_in_a_loop_is_told_at_once_and_no_more(tool: Tool) -> None:
    """A frame that never calls anything is reached while it runs."""
    told = threading.Event()
    state = {"stop": False, "turns": 0}

    def spin() -> None:
        while not state["stop"]:
            state["turns"] += 1

    def line(code: types.CodeType, _line: int) -> None:
        if code is spin.__code__:
            told.set()

    def turn_on() -> None:
        turns = state["turns"]
        while state["turns"] < turns + 10:
            pass

    tool.register("LINE", line)
    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        for _ in range(20):
            tool.set()
            assert told.wait(10)
            tool.set(0)
            # It may have been in the middle of the callback.
            turn_on()
            told.clear()
            turn_on()
            assert not told.is_set()
    finally:
        state["stop"] = True
        thread.join(10)


def test_code_that_is_called_often_keeps_only_the_hooks_that_are_on(tool: Tool) -> None:
    def program(value: int) -> int:
        def nested() -> int:
            return value

        if value < 0:
            value = -value
        return nested()

    def hooks() -> int:
        """In the code that the function really runs."""
        codes = [each for each in gc.get_referents(program) if isinstance(each, types.CodeType)]
        return sum(type(const).__name__ == "Hook" for const in codes[0].co_consts)

    first = program.__code__.co_firstlineno
    told: list[int] = []

    def line(code: types.CodeType, line: int) -> object:
        if code is program.__code__:
            told.append(line - first)
        return tool.monitoring.DISABLE

    tool.register("LINE", line)
    tool.set(tool.events.LINE)
    assert program(1) == 1
    assert told == [1, 4, 6]
    before = hooks()
    for value in range(200):
        assert program(value) == value
    assert 0 < hooks() < before
    assert told == [1, 4, 6]
    # What was never reached is told still, and then nothing is left.
    assert program(-2) == 2
    assert told == [1, 4, 6, 5]
    for value in range(2000):
        program(value)
    assert told == [1, 4, 6, 5]
    told.clear()
    tool.monitoring.restart_events()
    assert program(-2) == 2
    assert told == [1, 4, 5, 6]


def test_another_event_is_told_where_hooks_were_left_out(tool: Tool) -> None:
    def program(value: int) -> Iterator[int]:
        yield value
        if value < 0:
            yield -value

    tool.register("LINE", lambda *_: tool.monitoring.DISABLE)
    tool.register("PY_START", lambda *_: tool.monitoring.DISABLE)
    tool.set(tool.events.LINE | tool.events.PY_START)
    waits = [program(-value) for value in range(300)]
    for generator in waits[1:]:
        next(generator)
    told: list[int] = []
    tool.register("LINE", lambda code, line: told.append(line) if code is program.__code__ else None)
    tool.monitoring.restart_events()
    first = program.__code__.co_firstlineno
    # Suspended while hooks were left out.
    assert list(waits[-1]) == [299]
    assert told == [first + 2, first + 3]
    told.clear()
    assert list(program(-1)) == [-1, 1]
    assert told == [first + 1, first + 2, first + 3]


# Limits, other tools of the interpreter, and exceptions.


def test_recursion_limit(tool: Tool) -> None:
    def recurse(n: int) -> int:
        return recurse(n + 1)

    def bounded(n: int) -> int:
        return 0 if n == 0 else 1 + bounded(n - 1)

    with tool.on():
        with pytest.raises(RecursionError):
            recurse(0)
        assert bounded(500) == 500
    with pytest.raises(RecursionError):
        recurse(0)


@pytest.mark.parametrize("event", ["LINE", "PY_START", "PY_RETURN"])
def test_a_callback_that_raises(tool: Tool, event: str) -> None:
    class OurError(Exception):
        pass

    def fail(code: types.CodeType, *_: object) -> None:
        if code is add.__code__:
            raise OurError(event)

    def caught() -> tuple[str, list[tuple[str, int]]]:
        try:
            add(1)
        except OurError as error:
            frames = traceback.extract_tb(error.__traceback__)
            first = add.__code__.co_firstlineno
            return str(error), [(f.name, (f.lineno or 0) - first) for f in frames if f.name != "caught"]
        raise AssertionError("nothing was raised")

    tool.register(event, fail)
    with tool.on():
        told = caught()
        again = caught()
    line = {"PY_START": 0, "LINE": 2, "PY_RETURN": 3}[event]
    assert told[1][0] == ("add", line)
    assert told[1][1][0] == "fail"
    assert again == told
    assert add(1) == 2


def test_a_callback_that_raises_is_handled_by_the_program(tool: Tool) -> None:
    log: list[str] = []

    def program() -> None:
        try:
            log.append("body")
        except KeyError:
            log.append("handler")
        finally:
            log.append("finally")

    first = program.__code__.co_firstlineno

    def fail(code: types.CodeType, line: int) -> None:
        if code is program.__code__ and line == first + 2:
            raise KeyError

    tool.register("LINE", fail)
    with tool.on():
        program()
    assert log == ["handler", "finally"]
    assert sys.exc_info() == (None, None, None)


def test_trace_functions_see_what_they_see_without_events(tool: Tool) -> None:
    def traced(call: Callable[[], object]) -> list[tuple[str, str, int]]:
        seen = []

        def trace(frame: types.FrameType, what: str, _: object) -> Any:
            if frame.f_code.co_filename != __file__:
                return None
            seen.append((what, frame.f_code.co_name, frame.f_lineno))
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            call()
        finally:
            sys.settrace(before)
        return seen

    def program() -> int:
        try:
            divide(1, 0)
        except ZeroDivisionError:
            pass
        return sum(generate(3)) + add(1) + len([i for i in range(2)])

    without = traced(program)
    with tool.on():
        assert traced(program) == without
    assert traced(program) == without
    assert tool.names("program")


@pytest.mark.xfail(strict=True, reason="each of a hook's two instructions is an opcode to a trace function")
def test_trace_functions_with_opcodes(tool: Tool) -> None:
    """Offsets are the program's own."""

    def traced() -> list[int]:
        seen = []

        def trace(frame: types.FrameType, what: str, _: object) -> Any:
            if frame.f_code is not add.__code__:
                return None
            frame.f_trace_opcodes = True
            if what == "opcode":
                seen.append(frame.f_lasti)
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            add(1)
        finally:
            sys.settrace(before)
        return list(dict.fromkeys(seen))

    without = traced()
    with tool.on():
        assert traced() == without


def test_a_debugger_jumps_in_a_monitored_frame(tool: Tool) -> None:
    def program() -> list[int]:
        values = [0]
        values.append(1)
        values.append(2)
        values.append(3)
        return values

    first = program.__code__.co_firstlineno

    def trace(frame: types.FrameType, what: str, _: object) -> Any:
        if frame.f_code is program.__code__ and what == "line" and frame.f_lineno == first + 3:
            frame.f_lineno = first + 4  # type: ignore[misc]
        return trace

    def jumped() -> list[int]:
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            return program()
        finally:
            sys.settrace(before)

    assert jumped() == [0, 1, 3]
    with tool.on():
        assert jumped() == [0, 1, 3]
        assert program() == [0, 1, 2, 3]
    assert jumped() == [0, 1, 3]


def test_a_tracer_is_set_while_frames_wait_to_be_moved(tool: Tool) -> None:
    seen: list[str] = []

    def trace(_frame: types.FrameType, what: str, _: object) -> Any:
        seen.append(what)
        return trace

    def program() -> int:
        before = sys.gettrace()
        tool.set()
        sys.settrace(trace)
        total = add(1)
        sys.settrace(before)
        total += add(2)
        tool.set(0)
        return total

    for _ in range(3):
        assert program() == 5
    assert "call" in seen
    assert tool.names("add").count("PY_START") == 6


def test_profilers(tool: Tool) -> None:
    def program() -> int:
        return sum(generate(3)) + add(1)

    def profiled() -> list[tuple[str, int]]:
        profiler = cProfile.Profile()
        profiler.runcall(program)
        stats = pstats.Stats(profiler, stream=io.StringIO()).stats  # type: ignore[attr-defined]
        return sorted((name, values[1]) for (file, _, name), values in stats.items() if file == __file__)

    def set_profile() -> list[tuple[str, str]]:
        seen = []

        def profile(frame: types.FrameType, what: str, _: object) -> None:
            if frame.f_code.co_filename == __file__:
                seen.append((what, frame.f_code.co_name))

        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            program()
        finally:
            sys.setprofile(before)
        return seen

    without = profiled(), set_profile()
    with tool.on():
        assert (profiled(), set_profile()) == without
    assert tool.names("program").count("PY_START") == 2


def test_faulthandler_shows_lines(tool: Tool, tmp_path: Path) -> None:
    def shown() -> list[str]:
        with (tmp_path / "stack").open("w+") as file:
            faulthandler.dump_traceback(file)
            file.seek(0)
            return [line.split(", line ")[1] for line in file if __file__ in line][:1]

    without = shown()
    with tool.on():
        assert shown() == without


def test_a_generator_that_sets_events_wakes_the_frame_that_iterates_it(tool: Tool) -> None:
    def numbers() -> Generator[int, None, None]:
        yield 1
        tool.set()
        yield 2
        yield 3

    def iterate() -> int:
        total = 0
        for number in numbers():
            total += number
        return total

    assert iterate() == 6
    tool.set(0)
    first = iterate.__code__.co_firstlineno
    assert [line - first for event, name, line in tool.told if (event, name) == ("LINE", "iterate")] == [
        *(3, 2, 3, 2, 4)
    ]


def test_tracebacks_of_frames_that_are_moved(tool: Tool) -> None:
    source = "def catch():\n    try:\n"
    source += "".join(f"        a{n} = {n}\n" for n in range(100))
    source += "        divide(1, 0)\n    except ZeroDivisionError as error:\n        look(error)\n"
    source += "        tool.set()\n        moved = True\n        look(error)\n        tool.set(0)\n"
    looks: list[tuple[int, str]] = []

    def look(error: BaseException) -> None:
        assert error.__traceback__
        looks.append((error.__traceback__.tb_lasti, "".join(traceback.format_exception(error))))

    namespace: dict[str, Any] = {"divide": divide, "look": look, "tool": tool}
    exec(source, namespace)
    namespace["catch"]()
    assert ("LINE", "catch", 107) in tool.told, "the frame was not moved"
    assert looks[0] == looks[1]


def test_a_position_that_is_restored_by_reraising_starts_no_line(tool: Tool) -> None:
    class Manager:
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    namespace: dict[str, Any] = {"Manager": Manager}
    exec("def one_line():\n    with Manager(), Manager(): raise ValueError('once')\n", namespace)
    with tool.on(), pytest.raises(ValueError, match="once"):
        namespace["one_line"]()
    # As CPython 3.14 tells it.
    assert tool.names("one_line") == ["PY_START", "LINE"]


def test_the_line_of_what_is_thrown_in_is_disabled_by_itself(tool: Tool) -> None:
    def inner() -> Iterator[int]:
        yield 1

    def outer() -> Generator[int, None, None]:
        yield from inner()

    told: list[int] = []

    def on_line(_code: types.CodeType, line: int) -> object:
        told.append(line - outer.__code__.co_firstlineno)
        return tool.monitoring.DISABLE

    def runs() -> object:
        return next(each for each in gc.get_referents(outer) if isinstance(each, types.CodeType))

    def close() -> None:
        waiting = outer()
        next(waiting)
        waiting.close()

    tool.register("LINE", on_line)
    tool.monitoring.set_local_events(TOOL, outer.__code__, tool.events.LINE)
    try:
        list(outer())
        assert told == [1]
        assert runs() is not outer.__code__
        close()
        assert told == [1, 1]
        assert runs() is outer.__code__
        close()
        assert told == [1, 1]
    finally:
        tool.monitoring.set_local_events(TOOL, outer.__code__, 0)


def test_trace_functions_see_throws_as_without_events(tool: Tool) -> None:
    class Manager:
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> bool:
            return True

    namespace: dict[str, Any] = {"Manager": Manager, "generate": generate}
    source = """
    def one_line():
        with Manager(): yield from generate(3)
    def handles():
        try:
            yield from generate(3)
        except KeyError:
            yield 1
    def passes():
        yield from generate(3)
    def throw(generator):
        next(generator)
        try:
            generator.throw(KeyError)
        except (KeyError, StopIteration):
            pass
    """
    exec(textwrap.dedent(source), namespace)
    seen: list[tuple[str, str, int]] = []

    def trace(frame: types.FrameType, what: str, _argument: object) -> Any:
        if frame.f_code.co_filename == "<string>":
            seen.append((frame.f_code.co_name, what, frame.f_lineno))
        return trace

    def look() -> list[tuple[str, str, int]]:
        seen.clear()
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            for name in ("one_line", "handles", "passes"):
                namespace["throw"](namespace[name]())
        finally:
            sys.settrace(before)
        return list(seen)

    plain = look()
    tool.set(tool.events.LINE)
    assert look() == plain
    tool.set(0)
    assert [line for _, name, line in tool.told if name == "passes"] == [10, 10]


@pytest.mark.parametrize(
    ("call", "good", "bad"),
    [
        ("int(x)", "1", "one"),
        ("len(x)", "x", 1),
        ("isinstance(1, x)", int, 1),
        ("[1].index(x)", 1, 2),
        ("ord(x)", "x", 1),
        ("range(x)", 1, "x"),
        ("(1).to_bytes(x, byteorder='big')", 1, "x"),
        ("x()", int, 1),
    ],
)
def test_what_a_specialised_call_raises(tool: Tool, call: str, good: object, bad: object) -> None:
    namespace: dict[str, Any] = {}
    exec(f"def calls(x):\n    return {call}\n", namespace)
    calls = namespace["calls"]
    told: list[tuple[str, int]] = []
    names = ("C_RAISE", "RAISE", "PY_UNWIND")
    for name in names:
        tool.register(
            name,
            lambda code, offset, *_, name=name: (
                told.append((name, offset)) if code is calls.__code__ else None
            ),
        )
    tool.set(tool.events.CALL | tool.events.RAISE | tool.events.PY_UNWIND)
    for _ in range(100):
        calls(good)
    with pytest.raises((TypeError, ValueError)):
        calls(bad)
    tool.set(0)
    for name in names:
        tool.register(name, None)
    at = [each.offset for each in dis.get_instructions(calls) if each.opname == "CALL"]
    assert told == [(name, at[-1]) for name in names]


def test_local_events_reach_a_frame_that_was_moved_for_others(tool: Tool) -> None:
    def other() -> None: ...

    def start() -> None:
        tool.set(tool.events.PY_START)
        tool.monitoring.set_local_events(TOOL, outer.__code__, tool.events.LINE)

    def outer() -> int:
        start()
        number = 1
        return number

    tool.monitoring.set_local_events(TOOL, other.__code__, tool.events.LINE)
    try:
        outer()
    finally:
        tool.set(0)
        for function in (outer, other):
            tool.monitoring.set_local_events(TOOL, function.__code__, 0)
    lines = [line - outer.__code__.co_firstlineno for event, name, line in tool.told if name == "outer"]
    assert lines == [2, 3]


def test_nested_code_is_told_of_when_the_code_around_it_had_settled(tool: Tool) -> None:
    def outer() -> list[int]:
        return [number for number in range(2)]

    def other() -> None: ...

    nested = outer.__code__.co_consts[1]
    tool.monitoring.set_local_events(TOOL, other.__code__, tool.events.LINE)
    tool.monitoring.set_local_events(TOOL, outer.__code__, tool.events.LINE)
    tool.register("LINE", lambda *_: tool.monitoring.DISABLE)
    for _ in range(3):
        outer()
    tool.register("LINE", tool.teller("LINE"))
    for events in (tool.events.LINE, tool.events.PY_START):
        tool.monitoring.set_local_events(TOOL, nested, events)
        outer()
        tool.monitoring.set_local_events(TOOL, nested, 0)
    for function in (outer, other):
        tool.monitoring.set_local_events(TOOL, function.__code__, 0)
    assert tool.names("<listcomp>") == ["LINE", "PY_START"]


FULL = ("PY_RESUME", "PY_YIELD", "INSTRUCTION", "PY_THROW", "RAISE", "PY_UNWIND")


def full() -> Generator[int, object, None]:
    """Wherever it waits, there is no room for more on its stack."""
    while True:
        yield 1


@contextmanager
def told_of_full(tool: Tool, answer: Callable[[str], object]) -> Iterator[list[str]]:
    """Sets these events when the generator has begun; what is told of it."""
    told: list[str] = []

    def teller(name: str) -> Callable[..., object]:
        def tell(code: types.CodeType, *_: object) -> object:
            if code is not full.__code__:
                return None
            told.append(name)
            return answer(name)

        return tell

    flags = {name: getattr(tool.events, name) for name in FULL}
    for name, flag in flags.items():
        tool.monitoring.register_callback(TOOL, flag, teller(name))
    tool.set(sum(flags.values()))
    try:
        yield told
    finally:
        tool.set(0)
        for flag in flags.values():
            tool.monitoring.register_callback(TOOL, flag, None)


def test_a_full_stack_is_told_of(tool: Tool) -> None:
    assert full.__code__.co_stacksize == 1
    generator = full()
    next(generator)
    with told_of_full(tool, lambda _: None) as told:
        assert next(generator) == 1
        assert told == ["PY_RESUME", *["INSTRUCTION"] * 4, "PY_YIELD"]
        told.clear()
        with pytest.raises(KeyError) as caught:
            generator.throw(KeyError(1))
    assert told == ["PY_THROW", "RAISE", "PY_UNWIND"]
    entries = traceback.extract_tb(caught.tb)
    line = full.__code__.co_firstlineno + 3
    assert [(entry.name, entry.lineno) for entry in entries[1:]] == [("full", line)]


def test_what_callbacks_answer_about_a_full_stack(tool: Tool) -> None:
    generator = full()
    next(generator)
    with told_of_full(tool, lambda _: tool.monitoring.DISABLE if _ != "PY_UNWIND" else None) as told:
        next(generator)
        first = list(told)
        next(generator)
        assert first == told
        tool.monitoring.restart_events()
        next(generator)
        assert told == 2 * first
    tool.monitoring.restart_events()

    def fail(name: str) -> None:
        if name == "PY_YIELD":
            raise LookupError(name)

    generator = full()
    next(generator)
    with told_of_full(tool, fail) as told, pytest.raises(LookupError):
        next(generator)
    assert told[-3:] == ["PY_YIELD", "RAISE", "PY_UNWIND"]


def test_what_is_raised_in_a_frame_with_a_full_stack(tool: Tool) -> None:
    told: list[tuple[str, int]] = []
    flags = tool.events.RAISE | tool.events.PY_UNWIND

    def tell(code: types.CodeType, offset: int, *_: object) -> None:
        if code is waits.__code__:
            told.append((code.co_name, offset))

    def waits() -> None:
        fails()

    def fails() -> None:
        tool.set(flags)
        raise KeyError

    for flag in (tool.events.RAISE, tool.events.PY_UNWIND):
        tool.monitoring.register_callback(TOOL, flag, tell)
    try:
        for _ in range(2):
            with pytest.raises(KeyError):
                waits()
    finally:
        tool.set(0)
        for flag in (tool.events.RAISE, tool.events.PY_UNWIND):
            tool.monitoring.register_callback(TOOL, flag, None)
    # The second time the frame begins with room for gates.
    assert len(told) == 4
    assert told[:2] == told[2:]


def test_nobody_sees_how_a_full_stack_is_told_of(tool: Tool) -> None:
    class Sent: ...

    def run(sent: object, on: bool) -> list[tuple[str, int]]:
        steps: list[tuple[str, int]] = []

        def trace(frame: types.FrameType, event: str, _: object) -> Any:
            if frame.f_code is full.__code__:
                steps.append((event, frame.f_lineno))
            return trace

        generator = full()
        next(generator)
        with told_of_full(tool, lambda _: None):
            if not on:
                tool.set(0)
            sys.settrace(trace)
            try:
                generator.send(sent)
                try:
                    raise OSError
                except OSError:
                    next(generator)
            finally:
                sys.settrace(None)
        # Also when it goes on unmonitored.
        assert next(generator) == 1
        return steps

    sent = Sent()
    gone = weakref.ref(sent)
    assert run(sent, on=True) == run(sent, on=False)
    del sent
    assert gone() is None


def test_a_detour_made_by_somebody_else_is_no_detour(tool: Tool) -> None:
    generator = full()
    next(generator)
    with told_of_full(tool, lambda _: None):
        next(generator)
        kind: Any
        (kind,) = (each for each in BaseException.__subclasses__() if each.__name__ == "Detour")
        hooks = [each for each in gc.get_objects() if type(each).__name__ == "Hook"]
        for arguments in ((), (1, 2), (*hooks[:1], 2), (1,), (1, 2, 3)):
            with pytest.raises(TypeError, match="bad operand type for unary ~"):
                operator.invert(kind(*arguments))


def test_a_start_whose_callback_sets_more_events_is_told_once(tool: Tool) -> None:
    told: list[tuple[str, int]] = []

    def on_start(code: types.CodeType, offset: int) -> None:
        if code.co_filename == "<string>":
            told.append(("PY_START", offset))
            tool.monitoring.set_local_events(TOOL, code, tool.events.LINE)

    tool.register("PY_START", on_start)
    tool.register("LINE", lambda _, line: told.append(("LINE", line)))
    code = compile("first = 1\nsecond = 2\n", "<string>", "exec")
    tool.set(tool.events.PY_START)
    exec(code, {})
    tool.monitoring.set_local_events(TOOL, code, 0)
    assert told == [("PY_START", 0), ("LINE", 1), ("LINE", 2)]


def test_a_frame_that_waits_to_be_moved_keeps_its_own_flags(tool: Tool) -> None:
    def look() -> None:
        tool.set()
        frame = sys._getframe(1)
        seen.append(frame.f_trace_opcodes)
        frame.f_trace_opcodes = True
        seen.append(frame.f_trace_opcodes)
        frame.f_trace_opcodes = False
        seen.append(frame.f_trace_opcodes)
        with pytest.raises(TypeError, match="attribute value type must be bool"):
            frame.f_trace_opcodes = 1  # type: ignore[assignment]

    def waits() -> None:
        look()
        seen.append(sys._getframe().f_trace_opcodes)

    seen: list[bool] = []
    waits()
    tool.set(0)
    assert seen == [False, True, False, False]
    first = next(line for _, name, line in tool.told if name == "waits")
    assert first - waits.__code__.co_firstlineno == 2


def is_traced() -> bool:
    """Whether the interpreter's loop looks for a trace function before each instruction."""
    state = ctypes.pythonapi.PyThreadState_Get
    state.restype = ctypes.c_void_p
    cframe = ctypes.c_void_p.from_address(state() + CFRAME).value
    return bool(ctypes.c_uint8.from_address(cframe or 0).value)


CFRAME = 56
"""Where 3.11's PyThreadState has the pointer to its CFrame, which begins with `use_tracing`."""


@pytest.mark.parametrize("names", [("CALL",), ("INSTRUCTION",), ("RAISE", "PY_UNWIND")])
def test_nothing_is_traced_while_a_frame_waits_to_be_moved(tool: Tool, names: tuple[str, ...]) -> None:
    seen: list[bool] = []

    def raising(depth: int) -> None:
        seen.append(is_traced())
        if depth:
            raising(depth - 1)
        raise ValueError

    def work() -> None:
        for _ in range(3):
            seen.append(is_traced())
            try:
                raising(2)
            except ValueError:
                seen.append(is_traced())

    def start() -> None:
        tool.set(functools.reduce(int.__or__, (getattr(tool.events, name) for name in names)))

    def outer() -> None:
        start()
        work()
        seen.append(is_traced())
        tool.set(0)
        work()

    # One value on the stack: no room for a hook above it.
    waits: dict[str, Any] = {"outer": outer}
    exec("def waits(): outer()", waits)
    waits["waits"]()
    assert len(seen) == 31
    assert not any(seen)


LATE = (
    "RAISE",
    "EXCEPTION_HANDLED",
    "PY_UNWIND",
    "BRANCH_LEFT",
    "BRANCH_RIGHT",
    "STOP_ITERATION",
    "INSTRUCTION",
)


@contextmanager
def late(tool: Tool, function: Callable[..., object]) -> Iterator[tuple[Callable[..., int], list[str]]]:
    """What sets events when it is called, and the names of those that a function then has."""
    told: list[str] = []

    def tell(event: str) -> Callable[..., None]:
        def callback(code: types.CodeType, *_: object) -> None:
            if code is function.__code__:
                told.append(event)

        return callback

    flags = [getattr(tool.events, event) for event in LATE]
    for event, flag in zip(LATE, flags, strict=True):
        tool.monitoring.register_callback(TOOL, flag, tell(event))

    def switch(*_: object) -> int:
        tool.set(sum(flags))
        return 0

    try:
        yield switch, told
    finally:
        tool.set(0)
        for flag in flags:
            tool.monitoring.register_callback(TOOL, flag, None)


def test_an_exception_that_ends_the_call_in_which_events_are_set(tool: Tool) -> None:
    def handle(call: Callable[..., Any]) -> None:
        try:
            sorted([1], key=call)
        except ValueError:
            pass

    def leave(call: Callable[..., Any]) -> None:
        sorted([1], key=call)

    def fail(*_: object) -> Any:
        switch()
        raise ValueError

    with late(tool, handle) as (switch, told):
        handle(fail)
    assert told[:3] == ["RAISE", "EXCEPTION_HANDLED", "INSTRUCTION"]
    with late(tool, leave) as (switch, told), pytest.raises(ValueError):  # noqa: PT011
        leave(fail)
    assert told == ["RAISE", "PY_UNWIND"]


def test_the_end_of_a_loop_that_had_some_of_its_events(tool: Tool) -> None:
    def generate() -> Iterator[int]:
        yield 1
        switch()

    def ends() -> str:
        for _ in generate():
            pass
        return "done"

    def jumps(values: list[int]) -> str:
        for _ in values:
            if switch():
                return "left"
        return "done"

    for before in ("BRANCH_LEFT", "BRANCH_RIGHT", "STOP_ITERATION"):
        with late(tool, ends) as (switch, told):
            tool.set(getattr(tool.events, before) | tool.events.LINE)
            assert ends() == "done"
        told = told[told.index("STOP_ITERATION") :]
        assert told[:3] == ["STOP_ITERATION", "BRANCH_RIGHT", "INSTRUCTION"], before
    for before in ("BRANCH_LEFT", "BRANCH_RIGHT"):
        with late(tool, jumps) as (switch, told):
            tool.set(getattr(tool.events, before) | tool.events.LINE)
            assert jumps([1]) == "done"
        told = told[told.index("INSTRUCTION") :]
        assert told[1:3] == ["BRANCH_RIGHT", "INSTRUCTION"], (before, told)


def test_an_exception_that_ends_several_calls_in_which_events_are_set(tool: Tool) -> None:
    def outer() -> None:
        sorted([1], key=inner)

    def inner(*_: object) -> Any:
        sorted([1], key=fail)

    def fail(*_: object) -> Any:
        switch()
        raise ValueError

    with late(tool, outer) as (switch, told), pytest.raises(ValueError):  # noqa: PT011
        outer()
    assert told == ["RAISE", "PY_UNWIND"]


def test_a_callback_raises_in_place_of_an_exception_that_ends_the_call_in_which_events_are_set(
    tool: Tool,
) -> None:
    def leave() -> None:
        sorted([1], key=fail)

    def fail(*_: object) -> Any:
        tool.set(tool.events.RAISE)
        raise ValueError

    def callback(code: types.CodeType, *_: object) -> None:
        if code is leave.__code__:
            raise KeyError

    tool.monitoring.register_callback(TOOL, tool.events.RAISE, callback)
    try:
        with pytest.raises(KeyError):
            leave()
    finally:
        tool.set(0)
        tool.monitoring.register_callback(TOOL, tool.events.RAISE, None)


def test_the_branch_in_which_events_are_set(tool: Tool) -> None:
    def branch(condition: object) -> int:
        if condition:
            return 1
        return 0

    class Condition:
        def __init__(self, answer: bool) -> None:
            self.answer = answer

        def __bool__(self) -> bool:
            switch()
            return self.answer

    for answer, event in ((True, "BRANCH_LEFT"), (False, "BRANCH_RIGHT")):
        with late(tool, branch) as (switch, told):
            assert branch(Condition(answer)) == answer
        assert told[:2] == [event, "INSTRUCTION"]


def test_the_end_of_a_loop_in_which_events_are_set(tool: Tool) -> None:
    def loop(numbers: Iterator[int]) -> None:
        for _ in numbers:
            pass

    def generator() -> Generator[int, None, None]:
        yield 0
        switch()

    class Ending:
        def __iter__(self) -> "Ending":
            return self

        def __next__(self) -> int:
            switch()
            raise StopIteration

    with late(tool, loop) as (switch, told):
        loop(generator())
    assert told[:3] == ["STOP_ITERATION", "BRANCH_RIGHT", "INSTRUCTION"]
    with late(tool, loop) as (switch, told):
        loop(Ending())
    assert told[:3] == ["RAISE", "BRANCH_RIGHT", "INSTRUCTION"]


def test_a_full_stack_is_no_reason_to_miss_an_instruction(tool: Tool) -> None:
    def generator() -> Generator[int, None, None]:
        yield 0
        switch()

    with late(tool, generator) as (switch, told):
        assert list(generator()) == [0]
    # POP_TOP, LOAD_CONST, RETURN_VALUE.
    assert told == ["INSTRUCTION"] * 3


def test_a_position_that_is_to_be_restored_is_moved_with_its_frame(tool: Tool) -> None:
    def last_line(function: Callable[[], object]) -> int | None:
        try:
            function()
        except ValueError as error:
            assert error.__traceback__
            entry = error.__traceback__.tb_next
            return entry and entry.tb_frame.f_lineno
        return None

    class Manager:
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None:
            if switches:
                tool.set()

    def leave() -> None:
        numbers = [1]
        for number in numbers:
            with Manager():
                numbers.remove(number)
                raise ValueError
            numbers.append(number)

    switches = False
    without = last_line(leave)
    switches = True
    with_events = last_line(leave)
    tool.set(0)
    assert with_events == without


def test_the_end_of_a_disabled_call_is_told_in_a_frame_that_is_moved(tool: Tool) -> None:
    def run() -> None:
        sorted([1], key=switch)

    def switch(*_: object) -> int:
        tool.set(tool.events.CALL | tool.events.LINE | tool.events.INSTRUCTION)
        return 0

    def call(code: types.CodeType, *_: object) -> object:
        return tool.monitoring.DISABLE if code is run.__code__ else None

    def end(code: types.CodeType, *_: object) -> None:
        ended.append(code)

    ended: list[types.CodeType] = []
    tool.monitoring.register_callback(TOOL, tool.events.CALL, call)
    tool.monitoring.register_callback(TOOL, tool.events.C_RETURN, end)
    tool.set(tool.events.CALL)
    run()
    tool.set(0)
    assert ended.count(run.__code__) == 1
