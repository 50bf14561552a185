# starts with no events
"""Callbacks for LINE and INSTRUCTION that raise: the exception is the monitored code's, and lower tools are not told."""

import harness

EVENTS = ("LINE", "INSTRUCTION")
once = harness.Once(harness.fail, "attempt", "<module>")


def work():
    return 1


def handles():
    try:
        work()
    except harness.CallbackError:
        return "caught"


def loop():
    for _ in (1, 2):
        pass


def attempt(function):
    try:
        function()
    except (harness.CallbackError, ValueError) as error:
        harness.note(f"{type(error).__name__} came out, after {type(error.__context__).__name__}")


chosen = harness.set_of("exceptions", "lines", "instructions")
harness.record(1)
harness.record(4, once)
for event in EVENTS:
    for function in (work, handles, loop):
        once.event = event
        harness.set_events(chosen, 1, 4)
        attempt(function)
        harness.set_events(0, 1, 4)
        harness.note(f"{event} in {function.__name__}: {'not told' if once.event else 'told'}")
