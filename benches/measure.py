"""Measures one program under one configuration: started by compare.py, in a process of its own.

Owns what a configuration is. It must not believe a time: it says what was counted and answered, and
compare.py judges. The measured stretch lies between the only two calls of `clock`, which is where
callgrind cuts its counts.
"""

import json
import operator
import runpy
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time_ns as clock
from typing import Any

PROGRAMS = Path(__file__).parent / "programs"
TOOL_ID = 0


class Configuration:
    """How a program is monitored. This one: not at all."""

    title = "unmonitored"
    fires = False
    """Whether events go on happening after the warm-up."""

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

    def __init__(
        self, title: str, callbacks: dict[str, Callable[..., object]], *, fires: bool = True
    ) -> None:
        self.title = title
        self.fires = fires
        self.callbacks = callbacks

    def start(self) -> None:
        monitoring = find_monitoring()
        monitoring.use_tool_id(TOOL_ID, "bench")
        wanted = 0
        for name, callback in self.callbacks.items():
            event = getattr(monitoring.events, name)
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
            monitoring.register_callback(TOOL_ID, getattr(monitoring.events, name), count)
        return lambda: seen


class SwitchedOff(Monitored):
    """Monitored until the warm-up is over."""

    def settle(self) -> None:
        find_monitoring().set_events(TOOL_ID, 0)


class NativeTool(Configuration):
    """A Rust callback of monitrace's engine, with no Python call at all."""

    title = "LINE to a native tool"
    fires = True

    def start(self) -> None:
        find_monitoring()
        extension().count_lines()

    def count_events(self, file: str) -> Callable[[], int]:
        del file
        before: int = extension().lines()
        return lambda: int(extension().lines()) - before


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


def disable(_code: types.CodeType, _line: int) -> object:
    return find_monitoring().DISABLE


CONFIGURATIONS: dict[str, Configuration] = {
    "unmonitored": Configuration(),
    "line-python": Monitored("LINE to Python", {"LINE": lambda _code, _line: None}),
    "three-python": Monitored(
        "LINE, PY_START, PY_RETURN to Python",
        {
            "LINE": lambda _code, _line: None,
            "PY_START": lambda _code, _offset: None,
            "PY_RETURN": lambda _code, _offset, _value: None,
        },
    ),
    "line-builtin": Monitored("LINE to a C builtin", {"LINE": operator.is_}),
    "line-native": NativeTool(),
    "line-disabled": Monitored("LINE, disabled everywhere", {"LINE": disable}, fires=False),
    "off": SwitchedOff("all off, having been on", {"LINE": lambda _code, _line: None}, fires=False),
    "settrace": Settrace(),
}


def configurations(release: tuple[int, ...]) -> list[str]:
    """The names of those that an interpreter has. The native sys.monitoring calls Python objects only."""
    return [name for name in CONFIGURATIONS if name != "line-native" or release < (3, 12)]


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
    file = str(PROGRAMS / f"{program}.py")
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
    print(json.dumps({"nanoseconds": run.nanoseconds, "events": run.events, "right": right}))
