# starts with no events
"""Callbacks for PY_RETURN and PY_YIELD that raise: the exception is the monitored code's, and lower tools are not told."""

import sys

import harness

monitoring = sys.monitoring
EVENTS = ("PY_RETURN", "PY_YIELD")
once = harness.Once(harness.fail, "attempt", "<module>")


def work():
    try:
        return 1
    finally:
        done = True
        assert done


def catches_own():
    try:
        return work()
    except harness.CallbackError:
        pass


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


chosen = harness.set_of("exceptions", "returns", "generators")
for tool in (1, 4):
    harness.record(tool, once if tool == 4 else lambda *_: None)
    monitoring.set_events(tool, chosen)
for event in EVENTS:
    for function in (work, catches_own, uses_generator):
        once.event = event
        monitoring.set_events(1, chosen)
        monitoring.set_events(4, chosen)
        attempt(function)
        monitoring.set_events(1, 0)
        monitoring.set_events(4, 0)
        harness.note(f"{event} in {function.__name__}: {'not told' if once.event else 'told'}")
