# starts with no events
"""Callbacks for PY_START and PY_RESUME that raise: the exception is the monitored code's, and lower tools are not told."""

import sys

import harness

monitoring = sys.monitoring
EVENTS = ("PY_START", "PY_RESUME")
once = harness.Once(harness.fail, "attempt", "<module>")


def work():
    return 1


def handles():
    try:
        return work()
    except harness.CallbackError:
        return "caught"


def generate():
    try:
        yield 1
    except harness.CallbackError:
        yield 2


def uses_generator():
    return list(generate())


def attempt(function):
    try:
        function()
    except (harness.CallbackError, ValueError) as error:
        harness.note(f"{type(error).__name__} came out, after {type(error.__context__).__name__}")


chosen = harness.set_of("exceptions", "starts", "generators")
for tool in (1, 4):
    harness.record(tool, once if tool == 4 else lambda *_: None)
    monitoring.set_events(tool, chosen)
for event in EVENTS:
    for function in (work, handles, uses_generator):
        once.event = event
        monitoring.set_events(1, chosen)
        monitoring.set_events(4, chosen)
        attempt(function)
        monitoring.set_events(1, 0)
        monitoring.set_events(4, 0)
        harness.note(f"{event} in {function.__name__}: {'not told' if once.event else 'told'}")
