# starts with no events
"""Callbacks for PY_RETURN and PY_YIELD that raise: the exception is the monitored code's, and lower tools are not told."""

import harness

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
harness.record(1)
harness.record(4, once)
for event in EVENTS:
    for function in (work, catches_own, uses_generator):
        once.event = event
        harness.set_events(chosen, 1, 4)
        attempt(function)
        harness.set_events(0, 1, 4)
        harness.note(f"{event} in {function.__name__}: {'not told' if once.event else 'told'}")
