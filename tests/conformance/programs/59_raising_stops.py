# starts with no events
"""Callbacks for STOP_ITERATION that raise: the exception is the monitored code's, and lower tools are not told."""

import sys

import harness

monitoring = sys.monitoring
EVENTS = ("STOP_ITERATION",)
once = harness.Once(harness.fail, "attempt", "<module>")


def generate():
    yield 1
    return 2


def loop():
    for _ in generate():
        pass


def handles():
    try:
        loop()
    except harness.CallbackError:
        return "caught"


def delegate():
    result = yield from generate()
    return result


def delegates():
    return list(delegate())


def attempt(function):
    try:
        function()
    except (harness.CallbackError, ValueError) as error:
        harness.note(f"{type(error).__name__} came out, after {type(error.__context__).__name__}")


chosen = harness.set_of("exceptions", "stops")
for tool in (1, 4):
    harness.record(tool, once if tool == 4 else lambda *_: None)
    monitoring.set_events(tool, chosen)
for event in EVENTS:
    for function in (loop, handles, delegates):
        once.event = event
        monitoring.set_events(1, chosen)
        monitoring.set_events(4, chosen)
        attempt(function)
        monitoring.set_events(1, 0)
        monitoring.set_events(4, 0)
        harness.note(f"{event} in {function.__name__}: {'not told' if once.event else 'told'}")
