# starts with no events
"""Callbacks for branches and jumps that raise: the exception is the monitored code's, and lower tools are not told."""

import sys

import harness

monitoring = sys.monitoring
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
for tool in (1, 4):
    harness.record(tool, once if tool == 4 else lambda *_: None)
    monitoring.set_events(tool, chosen)
for event in EVENTS:
    for function in (both, loop, handles, inside):
        once.event = event
        monitoring.set_events(1, chosen)
        monitoring.set_events(4, chosen)
        attempt(function)
        monitoring.set_events(1, 0)
        monitoring.set_events(4, 0)
        harness.note(f"{event} in {function.__name__}: {'not told' if once.event else 'told'}")
