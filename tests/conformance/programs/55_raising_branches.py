# starts with no events
"""Callbacks for branches and jumps that raise: the exception is the monitored code's, and lower tools are not told."""

import harness

EVENTS = ("BRANCH_LEFT", "BRANCH_RIGHT", "JUMP")
once = harness.Once(harness.fail, "attempt", "<module>")


def choose(a):
    if a:
        return 1
    return 2


def both():
    choose(1)
    choose(0)


def loop():
    total = 0
    for i in (1, 2):
        total += i
    return total


def handles():
    try:
        return loop()
    except harness.CallbackError:
        return "caught"


def inside():
    try:
        for i in (1,):
            if i:
                i += 1
        return i
    except harness.CallbackError:
        return "caught in its frame"


def attempt(function):
    try:
        function()
    except (harness.CallbackError, ValueError) as error:
        harness.note(f"{type(error).__name__} came out, after {type(error.__context__).__name__}")


chosen = harness.set_of("exceptions", "branches", "jumps")
harness.record(1)
harness.record(4, once)
for event in EVENTS:
    for function in (both, loop, handles, inside):
        once.event = event
        harness.set_events(chosen, 1, 4)
        attempt(function)
        harness.set_events(0, 1, 4)
        harness.note(f"{event} in {function.__name__}: {'not told' if once.event else 'told'}")
