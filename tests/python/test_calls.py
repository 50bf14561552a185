"""What 3.11 keeps of a call until it ends, and that nothing of it is left; and frames that are moved while
they call. Which events calls have is in tests/conformance."""

import gc
import signal
import subprocess
import sys
import textwrap
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import monitrace
import pytest

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="from 3.12 on the interpreter makes the events itself"
)

TOOL = 1
NAMES = ("CALL", "C_RETURN", "C_RAISE")


class Tool:
    """One tool that is told of calls, and what it was told of this file."""

    def __init__(self) -> None:
        self.monitoring = monitrace.install()
        self.events = self.monitoring.events
        self.calls: int = self.events.CALL | self.events.C_RETURN | self.events.C_RAISE
        self.told: list[tuple[str, str]] = []
        self.on_event: Callable[[str, str], object] = lambda _event, _called: None
        self.monitoring.use_tool_id(TOOL, "test_calls")
        for name in NAMES:
            self.monitoring.register_callback(TOOL, getattr(self.events, name), self.teller(name))

    def teller(self, event: str) -> Callable[..., object]:
        def tell(code: types.CodeType, _offset: int, called: Any, _arg0: object) -> object:
            if code.co_filename != __file__:
                return None
            name = getattr(called, "__name__", type(called).__name__)
            self.told.append((event, name))
            return self.on_event(event, name)

        return tell

    def set(self, events: int) -> None:
        self.monitoring.set_events(TOOL, events)

    def set_in(self, function: Callable[..., object], events: int | None = None) -> None:
        """Set the events of calls, or others, for one function."""
        code = function.__code__
        self.monitoring.set_local_events(TOOL, code, self.calls if events is None else events)


@pytest.fixture
def tool() -> Iterator[Tool]:
    tool = Tool()
    yield tool
    tool.set(0)
    for name in NAMES:
        tool.monitoring.register_callback(TOOL, getattr(tool.events, name), None)
    tool.monitoring.free_tool_id(TOOL)
    tool.monitoring.restart_events()


class Thing:
    """Something that can go."""

    def __call__(self) -> None:
        """Do nothing."""


class Failing(Thing):
    def __call__(self) -> None:
        raise KeyError


def call(thing: Callable[..., object], *arguments: object) -> object:
    return thing(*arguments)


def hand_over(things: list[object]) -> object:
    return str(things.pop())


@pytest.mark.parametrize("kind", [Thing, Failing])
def test_nothing_is_kept_of_a_call_that_has_ended(tool: Tool, kind: type[Thing]) -> None:
    thing = kind()
    gone = weakref.ref(thing)
    tool.set_in(call)
    with suppress(KeyError):
        call(thing)
    assert tool.told == [("CALL", kind.__name__), ("C_RETURN" if kind is Thing else "C_RAISE", kind.__name__)]
    del thing
    assert gone() is None


def test_what_is_called_and_its_argument_live_until_the_end_is_told(tool: Tool) -> None:
    things: list[object] = [Thing()]
    gone = weakref.ref(things[0])
    alive = []
    tool.on_event = lambda event, _called: alive.append((event, gone() is not None))
    tool.set_in(hand_over)
    hand_over(things)
    ends = [("CALL", True), ("C_RETURN", True)]
    # The list's `pop`, then `str` of what it gave.
    assert alive == ends + ends
    assert gone() is None


@pytest.mark.parametrize("how", ["off", "other", "disable"])
def test_nothing_is_kept_if_events_change_during_the_call(tool: Tool, how: str) -> None:
    class Switch:
        def __call__(self) -> None:
            if how == "disable":
                call(lambda: None)
            else:
                tool.set_in(call, 0 if how == "off" else tool.events.LINE)

    if how == "disable":
        tool.on_event = lambda *_: tool.monitoring.DISABLE if tool.told[-1][0] == "CALL" else None
    switch = Switch()
    gone = weakref.ref(switch)
    tool.set_in(call)
    for _ in range(3):
        call(switch)
    del switch
    assert gone() is None
    told = [name for event, name in tool.told if event == "C_RETURN"]
    # A lone tool is told how the call ends that it disables: so it is by CPython 3.14.
    assert told == (["Switch"] if how == "disable" else [])


def test_calls_of_many_depths_and_threads_end_in_order(tool: Tool) -> None:
    depth, threads = 30, 4
    together = threading.Barrier(threads)
    seen: dict[int, list[tuple[str, object]]] = {}

    def descend(n: int) -> int:
        if n == 0:
            together.wait()
            return 0
        # `max` is a call of C code that comes back here.
        return max([n], key=lambda _: descend(n - 1))

    def note(event: str) -> Callable[..., object]:
        def tell(code: types.CodeType, _offset: int, called: object, arg0: object) -> None:
            if code is descend.__code__ and called is max:
                assert isinstance(arg0, list)
                seen.setdefault(threading.get_ident(), []).append((event, arg0[0]))

        return tell

    for name in NAMES:
        tool.monitoring.register_callback(TOOL, getattr(tool.events, name), note(name))
    tool.set_in(descend)
    workers = [threading.Thread(target=descend, args=(depth,)) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    begun = [("CALL", n) for n in range(depth, 0, -1)]
    ended = [("C_RETURN", n) for n in range(1, depth + 1)]
    assert list(seen.values()) == [begun + ended] * threads


def test_the_recursion_limit_ends_every_call(tool: Tool) -> None:
    def descend() -> int:
        return max([1], key=lambda _: descend())

    tool.set_in(descend)
    with pytest.raises(RecursionError):
        descend()
    events = [event for event, _ in tool.told]
    # At the limit there may be no room for a callback either; its error ends the call too.
    assert events.count("C_RAISE") >= events.count("CALL") - 1 > 50
    assert "C_RETURN" not in events


def test_a_signal_handler_that_raises_ends_the_call(tool: Tool) -> None:
    def raise_it(*_: object) -> None:
        raise InterruptedError

    def wait() -> None:
        signal.raise_signal(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, raise_it)
    try:
        tool.set_in(wait)
        with pytest.raises(InterruptedError):
            wait()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert tool.told[0] == ("CALL", "raise_signal")
    assert len(tool.told) == 2


def test_a_frame_that_waits_in_a_call_is_told_of_the_next(tool: Tool) -> None:
    ready, go = threading.Lock(), threading.Lock()
    ready.acquire()
    go.acquire()

    def wait() -> int:
        ready.release()
        go.acquire()
        return len("ab")

    thread = threading.Thread(target=wait)
    thread.start()
    ready.acquire()
    tool.set(tool.calls)
    go.release()
    thread.join()
    tool.set(0)
    # The call that began before is not told of, nor its end.
    assert [told for told in tool.told if told[1] in ("acquire", "len")] == [
        ("CALL", "len"),
        ("C_RETURN", "len"),
    ]


def test_line_events_that_the_start_of_a_function_sets(tool: Tool) -> None:
    def outer() -> int:
        value = 1
        return inner() + value

    def inner() -> int:
        return 2

    lines: list[tuple[str, int]] = []

    def on_start(code: types.CodeType, _offset: int) -> None:
        if code in (outer.__code__, inner.__code__):
            tool.monitoring.set_local_events(TOOL, code, tool.events.LINE)

    def on_line(code: types.CodeType, line: int) -> None:
        lines.append((code.co_name, line - code.co_firstlineno))

    tool.monitoring.register_callback(TOOL, tool.events.PY_START, on_start)
    tool.monitoring.register_callback(TOOL, tool.events.LINE, on_line)
    try:
        tool.set(tool.events.PY_START)
        outer()
    finally:
        tool.set(0)
        for event in (tool.events.PY_START, tool.events.LINE):
            tool.monitoring.register_callback(TOOL, event, None)
    assert lines == [("outer", 1), ("outer", 2), ("inner", 1)]


def test_calls_that_are_disabled_cost_nothing(tool: Tool) -> None:
    def work() -> int:
        return len("ab") + abs(-1)

    original = work.__code__

    def runs() -> object:
        # What a function refers to is what it runs; `__code__` never shows a copy.
        return next(each for each in gc.get_referents(work) if isinstance(each, types.CodeType))

    tool.set_in(work)
    work()
    assert runs() is not original
    tool.on_event = lambda event, _called: tool.monitoring.DISABLE if event == "CALL" else None
    work()
    assert runs() is original
    assert work() == 3


def test_uninstalling_in_a_call() -> None:
    source = """
    import sys, weakref
    import monitrace

    class Uninstall:
        def __call__(self):
            monitoring.free_tool_id(1)
            monitrace.uninstall()
            return 1

    def work():
        return uninstall() + len("ab")

    monitoring = monitrace.install()
    events = monitoring.events
    told = []
    monitoring.use_tool_id(1, "test")
    for name in ("CALL", "C_RETURN", "C_RAISE"):
        note = lambda code, offset, called, arg0, name=name: told.append((name, type(called).__name__))
        monitoring.register_callback(1, getattr(events, name), note)
    uninstall = Uninstall()
    gone = weakref.ref(uninstall)
    monitoring.set_local_events(1, work.__code__, events.CALL | events.C_RETURN | events.C_RAISE)
    try:
        work()
    except RuntimeError as error:
        print(str(error).startswith("cannot uninstall while <code object work"))
    del uninstall
    print(told, gone() is None)
    monitrace.uninstall()
    print(len("ab"), hasattr(sys, "monitoring"))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "True\n[('CALL', 'Uninstall')] True\n2 False\n"
