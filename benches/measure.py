"""Measures one program under one configuration: started by compare.py, in a process of its own.

Owns what a configuration is. It must not believe a time: it says what was counted and answered, and
compare.py judges. The measured stretch lies between the only two calls of `clock`, which is where
callgrind cuts its counts; and as callgrind is slow, little is imported.
"""

from __future__ import annotations

import operator
import runpy
import sys
from time import process_time_ns as clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Any

    Callback = Callable[..., object]

PROGRAMS = __file__.removesuffix("measure.py") + "programs"
TOOL_ID = 0


FAMILIES = {
    "line": ("LINE",),
    "three": ("LINE", "PY_START", "PY_RETURN"),
    "calls": ("CALL", "C_RETURN", "C_RAISE"),
    "branches": ("BRANCH_LEFT", "BRANCH_RIGHT"),
    "jumps": ("JUMP",),
    "yields": ("PY_YIELD", "PY_RESUME"),
    "exceptions": ("RAISE", "RERAISE", "EXCEPTION_HANDLED", "PY_UNWIND", "PY_THROW", "STOP_ITERATION"),
    "instructions": ("INSTRUCTION",),
}
"""Events that are set together. Those that not every program has on every version are named by the programs
that have them, in their own FAMILIES."""

EVERYWHERE = ("line", "three", "instructions")
"""What every program has."""

TITLES = {name: ", ".join(events) for name, events in FAMILIES.items()} | {"exceptions": "exception events"}

ALL = tuple(dict.fromkeys(event for events in FAMILIES.values() for event in events))
CAN_BE_DISABLED = tuple(
    event for event in ALL if event not in (*FAMILIES["exceptions"], "C_RETURN", "C_RAISE")
)
"""With a call, its end is disabled."""

# By how many arguments they take: as fast as such callbacks are.
PYTHON: dict[int, Callback] = {
    2: lambda _code, _place: None,
    3: lambda _code, _offset, _value: None,
    4: lambda _code, _offset, _callable, _argument: None,
}
BUILTIN: dict[int, Callback] = {2: operator.is_, 3: "".format, 4: "".format}


def argument_count(event: str) -> int:
    """How many arguments its callbacks get."""
    if event in FAMILIES["calls"]:
        return 4
    return 2 if event in ("LINE", "INSTRUCTION", "PY_START", "PY_RESUME") else 3


class Configuration:
    """How a program is monitored. This one: not at all."""

    title = "unmonitored"
    fires = False
    """Whether events go on happening after the warm-up."""

    def fits(self, families: Collection[str]) -> bool:
        """Whether it is for programs with these families of events."""
        del families
        return True

    def start(self) -> None:
        """Sets the events."""

    def settle(self) -> None:
        """Comes after the warm-up."""

    def count_events(self, file: str) -> Callable[[], int]:
        """From now on counts the events of a file; gives what tells how many they were."""
        del file
        return lambda: 0


class Monitored(Configuration):
    """`sys.monitoring`, monitrace's or the interpreter's own."""

    fires = True
    family = ""
    """For programs that have it; for all if there is none."""

    def __init__(self, title: str, events: Iterable[str], callbacks: dict[int, Callback]) -> None:
        self.title = title
        self.callbacks = {event: callbacks[argument_count(event)] for event in events}

    def fits(self, families: Collection[str]) -> bool:
        return not self.family or self.family in families

    def start(self) -> None:
        monitoring = find_monitoring()
        monitoring.use_tool_id(TOOL_ID, "bench")
        wanted = 0
        for name, callback in self.callbacks.items():
            event = find_event(name)
            monitoring.register_callback(TOOL_ID, event, callback)
            wanted |= event
        monitoring.set_events(TOOL_ID, wanted)

    def count_events(self, file: str) -> Callable[[], int]:
        monitoring = find_monitoring()
        seen = 0

        def count(code: types.CodeType, *_: object) -> None:
            nonlocal seen
            seen += code.co_filename == file

        for name in self.callbacks:
            monitoring.register_callback(TOOL_ID, find_event(name), count)
        return lambda: seen


class Family(Monitored):
    """The events of a family."""

    def __init__(self, family: str, to: str, callbacks: dict[int, Callback]) -> None:
        super().__init__(f"{TITLES[family]} to {to}", FAMILIES[family], callbacks)
        self.family = family


class Idle(Family):
    """The events of a family, for programs that have none of them."""

    fires = False

    def fits(self, families: Collection[str]) -> bool:
        return not super().fits(families)


class Disabled(Monitored):
    """Every callback answers DISABLE."""

    fires = False

    def __init__(self, title: str, events: Iterable[str]) -> None:
        super().__init__(title, events, dict.fromkeys(PYTHON, disable))


class SwitchedOff(Monitored):
    """Monitored until the warm-up is over."""

    fires = False

    def settle(self) -> None:
        find_monitoring().set_events(TOOL_ID, 0)


class NativeTool(Configuration):
    """A Rust callback of monitrace's engine, with no Python call at all."""

    fires = True

    def __init__(self, family: str) -> None:
        self.title = f"{TITLES[family]} to a native tool"
        self.family = family

    def fits(self, families: Collection[str]) -> bool:
        return self.family in families

    def start(self) -> None:
        find_monitoring()
        extension().count(FAMILIES[self.family])

    def count_events(self, file: str) -> Callable[[], int]:
        del file
        before: int = extension().counted()
        return lambda: int(extension().counted()) - before


class Settrace(Configuration):
    """`sys.settrace` with a function that returns itself."""

    title = "sys.settrace"
    fires = True

    def start(self) -> None:
        def trace(_frame: types.FrameType, _event: str, _arg: object) -> object:
            return trace

        self.trace_with(trace)

    def count_events(self, file: str) -> Callable[[], int]:
        seen = 0

        def trace(frame: types.FrameType, _event: str, _arg: object) -> object:
            nonlocal seen
            seen += frame.f_code.co_filename == file
            return trace

        self.trace_with(trace)
        return lambda: seen

    @staticmethod
    def trace_with(trace: Callable[[types.FrameType, str, object], Any]) -> None:
        sys.settrace(trace)
        # As debuggers do: a frame that is running already has to be told itself.
        frame: types.FrameType | None = sys._getframe()
        while frame is not None:
            frame.f_trace = trace
            frame = frame.f_back


def extension() -> Any:
    import monitrace_bench  # type: ignore[import-not-found] # built by the nox session, for 3.11

    return monitrace_bench


def find_monitoring() -> Any:
    """`sys.monitoring`, made by monitrace where the interpreter has none."""
    if sys.version_info >= (3, 12):
        return sys.monitoring
    return extension().install()


def find_event(name: str) -> int:
    """An event's number. 3.12 and 3.13 have one event for both sides of a branch."""
    events = find_monitoring().events
    if name.startswith("BRANCH_") and not hasattr(events, name):
        name = "BRANCH"
    return int(getattr(events, name))


def disable(*_: object) -> object:
    return find_monitoring().DISABLE


NATIVE = "-native"
"""How the names of native tools end: only monitrace has them."""


def family_configurations(family: str) -> Iterator[tuple[str, Configuration]]:
    """A family's events, by name, to callbacks of each kind."""
    yield f"{family}-python", Family(family, "Python", PYTHON)
    yield f"{family}-builtin", Family(family, "a C builtin", BUILTIN)
    yield f"{family}{NATIVE}", NativeTool(family)


CONFIGURATIONS: dict[str, Configuration] = {
    "unmonitored": Configuration(),
    **{name: configuration for family in FAMILIES for name, configuration in family_configurations(family)},
    "exceptions-idle": Idle("exceptions", "Python, none raised", PYTHON),
    "line-disabled": Disabled("LINE, disabled everywhere", FAMILIES["line"]),
    "all-disabled": Disabled("all that can be disabled, disabled", CAN_BE_DISABLED),
    "off": SwitchedOff("all off, having been on", ALL, PYTHON),
    "settrace": Settrace(),
}


def families(program: str) -> tuple[str, ...]:
    """The families of events that a program has."""
    return (*EVERYWHERE, *runpy.run_path(f"{PROGRAMS}/{program}.py")["FAMILIES"])


def configurations(release: tuple[int, ...], program: str) -> list[str]:
    """The names of those that a program is measured with. Only monitrace has native tools."""
    has = families(program)
    return [
        name
        for name, configuration in CONFIGURATIONS.items()
        if configuration.fits(has) and (release < (3, 12) or not name.endswith(NATIVE))
    ]


answers: dict[int, float] = {}
"""A program's answers, by the size that it was run with."""


class Run:
    """One program under one configuration."""

    def __init__(self, configuration: Configuration, file: str, warm: int, size: int) -> None:
        self.configuration = configuration
        self.file = file
        self.warm = warm
        self.size = size
        self.nanoseconds = 0
        self.events = 0

    def stretches(self) -> Iterator[int]:
        yield self.warm
        self.configuration.settle()
        start = clock()
        yield self.size
        self.nanoseconds = clock() - start
        events = self.configuration.count_events(self.file)
        yield self.warm
        self.events = events()


run: Run | None = None


def stretches() -> Iterator[int]:
    """Sets the events and gives the sizes with which a program is to run: a warm-up, what is
    measured, and a small run that shows whether events happen.
    """
    if run is None:
        return iter(())
    run.configuration.start()
    return run.stretches()


def main() -> None:
    """Arguments: the configuration, the program, and which of its sizes: SIZE or COUNTED."""
    global run
    name, program, which = sys.argv[1:]
    file = f"{PROGRAMS}/{program}.py"
    # A program without a function runs while it is loaded, and not yet.
    loaded = runpy.run_path(file)
    run = Run(CONFIGURATIONS[name], file, loaded["WARM"], loaded[which])
    if "run" in loaded:
        for size in stretches():
            answers[size] = loaded["run"](size)
    else:
        runpy.run_path(file)
    sys.settrace(None)
    right = bool(answers) and all(loaded["is_right"](*answer) for answer in answers.items())
    print(run.nanoseconds, run.events, int(right))
