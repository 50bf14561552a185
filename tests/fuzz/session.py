"""Runs a program: by itself, under the oracle, and under monitoring by a plan.

Owns the surroundings of a run, which are the same each time. It must never judge what came of it.
"""

import dis
import gc
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any

import plan as plans
from oracle import Oracle
from plan import Change, Plan
from stream import EVENTS, MISSING, Codes, Happening, Told, show

NAME = "<program>"
MOST = 20_000
"""The events of a program that is not too long."""


lost: str | None = None
"""An event that the tools keep to themselves: a fault to be found."""


@dataclass
class Outcome:
    """What came of a run."""

    log: list[str] = field(default_factory=list)
    """What the program wrote."""
    told: list[Told] = field(default_factory=list)
    """What the tools were told."""
    seen: list[tuple[str, str, int]] = field(default_factory=list)
    """What a debugger saw, if there was one."""
    problems: list[str] = field(default_factory=list)
    """What callbacks saw that did not fit."""


def compiled(text: str) -> Codes:
    """Its code objects, made afresh."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Codes(compile(text, NAME, "exec", dont_inherit=True))


def _run(codes: Codes, outcome: Outcome, change: Callable[[], object]) -> None:
    """Run a program's module and log how it ended."""

    def switch(*_: object) -> int:
        change()
        return 0

    def log(value: object) -> object:
        outcome.log.append(show(value))
        return value

    def where() -> tuple[int, int]:
        frame = sys._getframe(1)
        return frame.f_lineno, frame.f_lasti

    namespace = {"__name__": "program", "log": log, "where": where, "switch": switch}
    module = next(iter(codes.all.values()))
    try:
        exec(module, namespace)
    except BaseException as error:
        raised: BaseException | None = error
        while raised:
            outcome.log += [show(raised), *_places(raised.__traceback__)]
            raised = raised.__context__
    # What is left of the program goes here, while its events are still told.
    namespace.clear()


def _places(traceback: TracebackType | None) -> list[str]:
    places = []
    while traceback:
        code, lasti = traceback.tb_frame.f_code, traceback.tb_lasti
        if code.co_filename == NAME:
            if lasti >= 0 and dis.opname[code.co_code[lasti]] == "PRECALL":
                # Where the interpreter has specialised it, it does the work of the CALL behind it.
                lasti += 4
            places.append(f"  {code.co_name} {traceback.tb_lineno} {lasti} {traceback.tb_frame.f_lineno}")
        traceback = traceback.tb_next
    return places


@contextmanager
def _debugger(codes: Codes, outcome: Outcome) -> Iterator[None]:
    """Have a trace function note what it sees of a program."""

    def trace(frame: FrameType, event: str, _: object) -> Any:
        label = codes.get(frame.f_code)
        if label is None:
            return None
        outcome.seen.append((event, label, frame.f_lineno))
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(None)


def alone(codes: Codes) -> Outcome:
    """Run it with nobody looking."""
    outcome = Outcome()
    _run(codes, outcome, lambda: None)
    return outcome


def debugged(codes: Codes) -> Outcome:
    """Run it under a debugger."""
    outcome = Outcome()
    with _debugger(codes, outcome):
        _run(codes, outcome, lambda: None)
    return outcome


def traced(codes: Codes) -> tuple[Outcome, list[Happening] | None]:
    """Run it under the oracle: all that happens, or None if that is too much."""
    outcome, oracle = Outcome(), Oracle(codes, MOST)

    def change() -> None:
        oracle.happenings.append(Happening(plans.SWITCH, "", 0, 0, 0, ()))

    sys.settrace(oracle.trace)
    try:
        _run(codes, outcome, change)
    finally:
        sys.settrace(None)
    if oracle.failure:
        raise oracle.failure
    return outcome, None if oracle.gave_up else oracle.happenings


def monitored(codes: Codes, plan: Plan, *, debug: bool = False) -> Outcome:
    """Run it under monitoring, and under a debugger besides."""
    monitoring: ModuleType = vars(sys)["monitoring"]
    outcome, later = Outcome(), iter(plan.later)

    def apply(changes: list[Change]) -> None:
        for change in changes:
            events = sum(getattr(monitoring.events, event) for event in change.events - plans.ENDS)
            if change.tool is None:
                monitoring.restart_events()
            elif change.code is None:
                monitoring.set_events(change.tool, events)
            else:
                code = codes.all[plans.pick(list(codes.all), change.code)]
                monitoring.set_local_events(change.tool, code, events)

    for tool in plan.tools:
        monitoring.use_tool_id(tool, f"fuzz {tool}")
        for event in EVENTS:
            callback = _callback(codes, plan, outcome, tool, event, monitoring)
            monitoring.register_callback(tool, getattr(monitoring.events, event), callback)
    try:
        apply(plan.first)
        with _debugger(codes, outcome) if debug else nullcontext():
            _run(codes, outcome, lambda: apply(next(later, [])))
    finally:
        for tool in plan.tools:
            monitoring.free_tool_id(tool)
        monitoring.restart_events()
    return outcome


def _callback(
    codes: Codes, plan: Plan, outcome: Outcome, tool: int, event: str, monitoring: ModuleType
) -> Callable[..., object]:
    counts: Counter[tuple[str, int]] = Counter()

    def callback(code: CodeType, where: int, *values: object) -> object:
        label = codes.get(code)
        if label is None or event == lost:
            return None
        if sys._getframe(1).f_code is not code:
            outcome.problems.append(f"{event} of {label} in {sys._getframe(1)!r}")
        shown = (MISSING if value is monitoring.MISSING else show(value) for value in values)
        outcome.told.append((tool, event, label, where, *shown))
        counts[label, where] += 1
        return monitoring.DISABLE if plan.answer(tool, event, label, where, counts[label, where]) else None

    return callback


def quiet() -> None:
    """Keep the garbage collector and warnings out of all runs: they come when they like."""
    gc.disable()
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None
