# starts with no events
"""Callbacks for calls that raise: the exception is the monitored code's, and lower tools are not told."""

import harness

EVENTS = ("CALL", "C_RETURN", "C_RAISE")
once = harness.Once(harness.fail, "attempt", "<module>")


def work():
    len("ab")
    int("x")


def handles():
    try:
        return int("x")
    except ValueError:
        return "caught"
    except harness.CallbackError:
        return "stopped"


def nested():
    return max(len("ab"), abs(-1))


def attempt(function):
    try:
        function()
    except (harness.CallbackError, ValueError) as error:
        harness.note(f"{type(error).__name__} came out, after {type(error.__context__).__name__}")


chosen = harness.set_of("exceptions", "calls")
harness.record(1)
harness.record(4, once)
for event in EVENTS:
    for function in (work, handles, nested):
        once.event = event
        harness.set_events(chosen, 1, 4)
        attempt(function)
        harness.set_events(0, 1, 4)
        harness.note(f"{event} in {function.__name__}: {'not told' if once.event else 'told'}")
