# starts with no events
"""Callbacks for STOP_ITERATION that raise: the exception is the monitored code's, and lower tools are not told."""

import harness

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
harness.record(1)
harness.record(4, once)
for event in EVENTS:
    for function in (loop, handles, delegates):
        once.event = event
        harness.set_events(chosen, 1, 4)
        attempt(function)
        harness.set_events(0, 1, 4)
        harness.note(f"{event} in {function.__name__}: {'not told' if once.event else 'told'}")
