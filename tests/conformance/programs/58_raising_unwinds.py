# starts with no events
"""Callbacks for PY_UNWIND and PY_THROW that raise: the exception is the monitored code's, and lower tools are not told."""

import sys

import harness

monitoring = sys.monitoring
EVENTS = ("PY_UNWIND", "PY_THROW")
once = harness.Once(harness.fail, "attempt", "<module>")


def fails():
    raise ValueError


def handles():
    try:
        fails()
    except ValueError:
        return "caught"
    except harness.CallbackError:
        return "stopped"


def generate():
    try:
        yield 1
    except ValueError:
        yield 2
    except harness.CallbackError:
        yield 3


def throws():
    generator = generate()
    next(generator)
    generator.throw(ValueError)
    return list(generator)


def attempt(function):
    try:
        function()
    except (harness.CallbackError, ValueError) as error:
        harness.note(f"{type(error).__name__} came out, after {type(error.__context__).__name__}")


chosen = harness.set_of("exceptions", "generators")
for tool in (1, 4):
    harness.record(tool, once if tool == 4 else lambda *_: None)
    monitoring.set_events(tool, chosen)
for event in EVENTS:
    for function in (fails, handles, throws):
        once.event = event
        monitoring.set_events(1, chosen)
        monitoring.set_events(4, chosen)
        attempt(function)
        monitoring.set_events(1, 0)
        monitoring.set_events(4, 0)
        harness.note(f"{event} in {function.__name__}: {'not told' if once.event else 'told'}")
