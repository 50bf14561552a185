"""Calls every function of sys.monitoring with good and bad arguments, and prints what comes of it.

Run by `test_namespace.py`; by hand with CPython 3.14, to record what is expected. Sets of events are
shown by the events' names, since their numbers differ between versions, and BRANCH as what it stands
for.
"""

import re
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

if sys.version_info < (3, 14):
    import monitrace

    monitrace.install()

monitoring: Any = vars(sys)["monitoring"]
events = monitoring.events
GOOD, FREE = 1, 0
code = (lambda: None).__code__


class Named(int):
    """A set of events, given by their names."""

    def __repr__(self) -> str:
        return named(self)


def named(bits: int) -> str:
    """The names of a set's events, and what is no event as a number."""
    if bits & events.BRANCH:
        bits |= events.BRANCH_LEFT | events.BRANCH_RIGHT
    names = [name for name, bit in sorted(vars(events).items()) if bit & bits and name != "BRANCH"]
    rest = bits & ~sum(vars(events).values())
    return "|".join([*names, hex(rest)] if rest or not names else names)


def attempt(function: Callable[..., object], *args: object, **kwargs: object) -> None:
    shown = [getattr(arg, "__qualname__", None) or ("code" if arg is code else repr(arg)) for arg in args]
    shown += [f"{name}={value!r}" for name, value in kwargs.items()]
    call = f"{function.__name__}({', '.join(shown)})"
    try:
        result = function(*args, **kwargs)
    except Exception as error:
        words = re.sub("0x[0-9a-f]+", lambda found: named(int(found[0], 16)), str(error))
        print(call, "raises", f"{type(error).__name__}: {words}")
    else:
        if isinstance(result, int) and function in (monitoring.get_events, monitoring.get_local_events):
            result = Named(result)
        print(call, "->", getattr(result, "__qualname__", repr(result)))


def call_all() -> None:
    m, e = monitoring, events
    args: tuple[object, ...]
    callback: object
    for args in [
        (),
        (1,),
        (1, 2),
        (1.5, "a"),
        ("a", "a"),
        (2**40, "a"),
        (6, "a"),
        (6, 3),
        (-1, "a"),
        (True, "a"),
    ]:
        attempt(m.use_tool_id, *args)
    attempt(m.use_tool_id, GOOD, "again")
    attempt(m.use_tool_id, GOOD, name="x")
    for function in (m.get_tool, m.get_events, m.clear_tool_id, m.free_tool_id):
        for args in [(), (7,), (-1,), ("x",), (None,), (2**40,), (FREE,), (3, 4)]:
            attempt(function, *args)
    attempt(m.get_tool, GOOD)
    attempt(m.get_tool, tool_id=GOOD)
    ancillary = e.C_RETURN | e.C_RAISE
    sets: list[Any] = [
        Named(e.LINE),
        -1,
        1 << 19,
        1 << 20,
        1 << 31,
        1 << 40,
        "x",
        1.0,
        Named(e.C_RETURN),
        Named(e.C_RETURN | e.CALL),
    ]
    sets += map(
        Named, [ancillary, ancillary | e.CALL, e.BRANCH, e.BRANCH | e.LINE, e.BRANCH_LEFT, e.RAISE, 0]
    )
    for tool in (GOOD, FREE, 8):
        for each in sets:
            attempt(m.set_events, tool, each)
            attempt(m.get_events, GOOD)
            attempt(m.set_local_events, tool, code, each)
            attempt(m.get_local_events, GOOD, code)
    attempt(m.set_events, GOOD)
    for args in [(), (GOOD,), (GOOD, attempt), (9, attempt), (FREE, code), (9, code)]:
        attempt(m.get_local_events, *args)
    for args in [(GOOD, code), (GOOD, attempt, 1), (9, attempt, 1), (9, code, 1)]:
        attempt(m.set_local_events, *args)
    for tool in (GOOD, FREE, 9):
        for event in (
            Named(e.LINE),
            0,
            Named(e.LINE | e.CALL),
            -1,
            1 << 19,
            1 << 30,
            1.0,
            2**40,
            Named(e.C_RETURN),
        ):
            for callback in (print, 5, None):
                attempt(m.register_callback, tool, event, callback)
    attempt(m.register_callback, GOOD, e.LINE)
    for name in ("BRANCH", "BRANCH_LEFT", "BRANCH", "BRANCH_RIGHT"):
        for callback in (print, len, None):
            print(name, end=": ")
            attempt(m.register_callback, GOOD, Named(getattr(e, name)), callback)
    # A side keeps what was registered for both; both give back what the left one had.
    for name in ("BRANCH", "BRANCH_LEFT", "BRANCH_RIGHT", "BRANCH", "BRANCH_RIGHT", "BRANCH_LEFT", "BRANCH"):
        for tool in (GOOD, FREE):
            print(name, end=": ")
            attempt(m.register_callback, tool, Named(getattr(e, name)), [print, len][tool])
    for name in ("BRANCH_RIGHT", "BRANCH", "BRANCH_RIGHT"):
        print(name, end=": ")
        attempt(m.register_callback, GOOD, Named(getattr(e, name)), None)
    for tool in (GOOD, FREE):
        attempt(m.clear_tool_id, tool)
        attempt(m.register_callback, tool, Named(e.BRANCH_LEFT), None)
    for bits in (e.BRANCH_LEFT, e.BRANCH, e.BRANCH_RIGHT, e.BRANCH_LEFT | e.BRANCH_RIGHT):
        attempt(m.set_events, GOOD, Named(bits))
        attempt(m.get_events, GOOD)
        attempt(m.set_local_events, GOOD, code, Named(bits | e.LINE))
        attempt(m.get_local_events, GOOD, code)
    attempt(m.restart_events)
    attempt(m.restart_events, 1)
    attempt(m.restart_events, x=1)
    attempt(m._all_events)
    m.set_events(GOOD, e.LINE | e.CALL)
    attempt(m._all_events)
    m.free_tool_id(GOOD)
    attempt(m._all_events)
    attempt(m.get_tool, GOOD)
    attempt(m.get_events, GOOD)


print(type(monitoring).__name__, monitoring.__name__, monitoring.__doc__)
print(sorted(name for name in vars(monitoring) if not name.startswith("__")))
print(type(events) is SimpleNamespace, sorted(vars(events)), events.NO_EVENTS)
for name in ("DEBUGGER_ID", "COVERAGE_ID", "PROFILER_ID", "OPTIMIZER_ID"):
    print(name, getattr(monitoring, name))
print(type(monitoring.DISABLE), type(monitoring.MISSING), monitoring.DISABLE is not monitoring.MISSING)
for name, function in sorted(vars(monitoring).items()):
    if callable(function):
        print(name, function.__text_signature__, function.__module__)
call_all()
