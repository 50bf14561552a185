# starts with no events
"""DISABLE from an event that cannot be disabled: ValueError, and the callback is gone."""

import sys

import harness

monitoring = sys.monitoring
events = harness.events
TOOL = 3
disabled = ""
REFUSED = ("RAISE", "RERAISE", "EXCEPTION_HANDLED", "PY_UNWIND", "PY_THROW")


def reply(event, code, line):
    return monitoring.DISABLE if event == disabled else None


def fails():
    try:
        int("x")
    finally:
        done = True
    return done


def handles():
    try:
        fails()
    except LookupError:
        pass


def generate():
    try:
        yield 1
    except KeyError:
        yield 2


def throws():
    generator = generate()
    next(generator)
    generator.throw(KeyError)
    list(generator)


def attempt(function):
    try:
        function()
    except ValueError as error:
        harness.note(f"{error}")


for disabled in REFUSED:
    harness.note(f"{disabled} disabled")
    harness.record(TOOL, reply)
    for function in (handles, throws):
        for _ in range(2):
            monitoring.set_events(TOOL, getattr(events, disabled))
            attempt(function)
            monitoring.set_events(TOOL, 0)
    kept = monitoring.register_callback(TOOL, getattr(events, disabled), None)
    harness.note(f"callback kept: {kept is not None}")
    monitoring.free_tool_id(TOOL)
