# starts with no events
"""Callbacks for PY_UNWIND and PY_THROW that raise: the exception is the monitored code's, and lower tools are not told."""

import harness

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
harness.record(1)
harness.record(4, once)
for event in EVENTS:
    for function in (fails, handles, throws):
        once.event = event
        harness.set_events(chosen, 1, 4)
        attempt(function)
        harness.set_events(0, 1, 4)
        harness.note(f"{event} in {function.__name__}: {'not told' if once.event else 'told'}")
