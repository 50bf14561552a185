"""The program's trace functions and profilers while frames are moved on 3.11: all are told of everything."""

import cProfile
import itertools
import operator
import pstats
import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, ModuleType
from typing import Any

import monitrace
import pytest

# Natively events are made where the program's own code stands: there is nothing to move, and nothing to test.
pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="from 3.12 on no frame has to be moved"
)

TOOL = 3
Seen = list[tuple[str, str, int]]


@pytest.fixture
def monitoring() -> Iterator[ModuleType]:
    monitoring = monitrace.install()
    monitoring.use_tool_id(TOOL, "test_tracers")
    yield monitoring
    monitoring.clear_tool_id(TOOL)
    monitoring.free_tool_id(TOOL)
    monitoring.restart_events()


def lines_of(monitoring: ModuleType, code: CodeType) -> list[int]:
    """The lines that are told of a code object, counted from its first."""
    told: list[int] = []

    def tell(of: CodeType, line: int) -> None:
        if of is code:
            told.append(line - code.co_firstlineno)

    monitoring.register_callback(TOOL, monitoring.events.LINE, tell)
    return told


def tracer(seen: Seen, meanwhile: Callable[[FrameType, str], object] = lambda *_: None) -> Callable[..., Any]:
    """A trace function that notes what it sees of this file, but for what switches events."""

    def trace(frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        if code.co_filename != __file__ or code.co_name in ("switch", "<lambda>"):
            return None
        # What cleans up behind a handler has no line.
        line = frame.f_lineno - code.co_firstlineno if frame.f_lineno else -1
        seen.append((event, code.co_name, line))
        meanwhile(frame, event)
        return trace

    return trace


def lines_seen(seen: Seen, program: Callable[..., object]) -> list[int]:
    return [line for event, name, line in seen if event == "line" and name == program.__name__]


def traced(
    program: Callable[..., object],
    *arguments: object,
    meanwhile: Callable[[FrameType, str], object] = lambda *_: None,
) -> Seen:
    seen: Seen = []
    sys.settrace(tracer(seen, meanwhile))
    try:
        program(*arguments)
    finally:
        sys.settrace(None)
    return seen


def calls(switch: Callable[[], object]) -> int:
    total = 0
    for turn in range(3):
        if turn == 1:
            switch()
        total += turn
    return total


def calls_through_c(switch: Callable[[], object]) -> list[object]:
    values = [
        list(map(operator.call, [switch])),
        1,
    ]
    values.append(2)
    return values


def raises_through_c(switch: Callable[[], object]) -> int:
    try:
        steps: list[Callable[[], object]] = [switch, int, lambda: 1 / 0]
        list(map(operator.call, steps))
    except ZeroDivisionError:
        return 1
    return 0


def raises(switch: Callable[[], object]) -> None:
    try:
        switch()
        raise KeyError
    except KeyError:
        pass
    finally:
        switch()


def yields(switch: Callable[[], object]) -> Iterator[int]:
    yield 1
    switch()
    yield 2


def drives(switch: Callable[[], object]) -> int:
    total = 0
    for value in yields(switch):
        total += value
    return total + sum(yields(switch))


PROGRAMS = [calls, calls_through_c, raises_through_c, raises, drives]
EVENTS = ["LINE", "INSTRUCTION", "all"]


def mask(monitoring: Any, name: str) -> int:
    if name != "all":
        return int(getattr(monitoring.events, name))
    ends = monitoring.events.C_RETURN | monitoring.events.C_RAISE
    every = [
        value for key, value in vars(monitoring.events).items() if key.isupper() and isinstance(value, int)
    ]
    return int(sum(set(every)) & ~ends & ~monitoring.events.BRANCH)


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_debugger_sees_what_it_sees_without_events(
    monitoring: ModuleType, program: Callable[..., object], name: str
) -> None:
    events = mask(monitoring, name)

    def switch() -> None:
        monitoring.set_events(TOOL, 0 if monitoring.get_events(TOOL) else events)

    without = traced(program, lambda: 0)
    assert traced(program, lambda: 0) == without
    with_switching = traced(program, lambda: switch())
    assert with_switching == without
    monitoring.set_events(TOOL, 0)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_frame_is_told_of_as_soon_as_the_debugger_sees_it_again(
    monitoring: ModuleType, program: Callable[..., object]
) -> None:
    told = lines_of(monitoring, program.__code__)
    seen: Seen = []
    before: list[int] = []

    def switch() -> None:
        before.append(len(seen))
        monitoring.set_events(TOOL, monitoring.events.LINE)

    sys.settrace(tracer(seen))
    try:
        program(lambda: switch())
    finally:
        sys.settrace(None)
    assert told == lines_seen(seen[before[0] :], program)
    assert told


def setter(monitoring: ModuleType, place: int, opcodes: bool) -> Callable[[FrameType, str], object]:
    """Sets events at the event with that index."""
    left = itertools.count(place, -1)

    def meanwhile(frame: FrameType, _: str) -> None:
        frame.f_trace_opcodes = opcodes
        if not next(left):
            monitoring.set_events(TOOL, monitoring.events.LINE)

    return meanwhile


@pytest.mark.parametrize("opcodes", [False, True])
@pytest.mark.parametrize("event", ["call", "line", "exception", "return"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_trace_function_sets_events(
    monitoring: ModuleType, program: Callable[..., object], event: str, opcodes: bool
) -> None:
    """In the middle of each event of that kind, in turn."""
    without = [each for each in traced(program, lambda: 0) if each[1] != "switch"]
    places = [index for index, each in enumerate(without) if each[0] == event]
    for place in places:
        told = lines_of(monitoring, program.__code__)
        meanwhile = setter(monitoring, place, opcodes)
        seen = traced(program, lambda: 0, meanwhile=meanwhile)
        monitoring.set_events(TOOL, 0)
        if not opcodes:
            assert seen == without
            # All lines of the frame that it sees from then on, and no others.
            assert told == lines_seen(seen[place + 1 :], program)


def test_a_trace_function_that_fails_leaves_the_frame_told_of(monitoring: ModuleType) -> None:
    told = lines_of(monitoring, raises.__code__)

    def fail(frame: FrameType, event: str) -> None:
        if (
            event == "line"
            and frame.f_code is raises.__code__
            and frame.f_lineno == raises.__code__.co_firstlineno + 3
        ):
            raise KeyError

    traced(raises, lambda: monitoring.set_events(TOOL, monitoring.events.LINE), meanwhile=fail)
    assert told == [4, 5, 7]


def test_a_debugger_jumps_in_a_frame_that_waits_to_be_moved(monitoring: ModuleType) -> None:
    def program(switch: Callable[[], object]) -> list[int]:
        values = [0]
        switch()
        values.append(1)
        values.append(2)
        return values

    first = program.__code__.co_firstlineno

    def jump(frame: FrameType, event: str) -> None:
        if event == "line" and frame.f_code is program.__code__ and frame.f_lineno == first + 3:
            frame.f_lineno = first + 4  # type: ignore[misc]

    found: list[object] = []
    told = lines_of(monitoring, program.__code__)
    switch = lambda: monitoring.set_events(TOOL, monitoring.events.LINE)  # noqa: E731
    traced(lambda: found.append(program(switch)), meanwhile=jump)
    # Lambdas are not looked at; this one's callee is.
    assert found == [[0, 2]]
    assert told == [4, 5]


def test_gettrace_tells_of_the_program_s_own(monitoring: ModuleType) -> None:
    trace = tracer([])
    found = []

    def program() -> None:
        monitoring.set_events(TOOL, monitoring.events.LINE)
        found.append(sys.gettrace())
        # A frame waits below this one.
        list(
            map(operator.call, [lambda: monitoring.set_events(TOOL, 2), lambda: found.append(sys.gettrace())])
        )
        found.append(sys.gettrace())

    sys.settrace(trace)
    try:
        program()
    finally:
        sys.settrace(None)
    assert found == [trace] * 3


def test_a_profiler_counts_the_same_while_frames_are_moved(monitoring: ModuleType) -> None:
    def counted(switch: Callable[[], object]) -> dict[str, tuple[int, int]]:
        profile = cProfile.Profile()
        profile.enable()
        for program in PROGRAMS:
            program(switch)
        profile.disable()
        stats: Any = pstats.Stats(profile)
        return {
            name: (primitive, total)
            for (file, _, name), (primitive, total, *_) in stats.stats.items()
            if file == __file__ and not name.startswith("<")
        }

    without = counted(lambda: 0)

    def switch() -> None:
        monitoring.set_events(TOOL, 0 if monitoring.get_events(TOOL) else monitoring.events.LINE)

    found = counted(lambda: switch())
    del found["switch"]
    assert found == without


def test_a_thread_in_the_middle_of_a_callback_is_moved(monitoring: ModuleType) -> None:
    """What it runs is told of as soon as that callback is over."""
    waits, goes_on = threading.Event(), threading.Event()

    def program() -> int:
        value = 1
        value += 1
        return value

    first = program.__code__.co_firstlineno
    told: list[int] = []

    def tell(code: CodeType, line: int) -> None:
        if code is program.__code__ and line == first + 2:
            waits.set()
            goes_on.wait()

    def instruction(code: CodeType, offset: int) -> None:
        if code is program.__code__:
            told.append(offset)

    monitoring.register_callback(TOOL, monitoring.events.LINE, tell)
    monitoring.register_callback(TOOL, monitoring.events.INSTRUCTION, instruction)
    monitoring.set_events(TOOL, monitoring.events.LINE)
    thread = threading.Thread(target=program)
    thread.start()
    waits.wait()
    monitoring.set_events(TOOL, monitoring.events.LINE | monitoring.events.INSTRUCTION)
    goes_on.set()
    thread.join()
    starts = {start for start, _, line in program.__code__.co_lines() if line == first + 3}
    assert starts & set(told)
