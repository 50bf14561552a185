# starts with no events
"""Events set within loops, conditions and comprehensions that are under way."""

import sys

import harness

monitoring = sys.monitoring
TOOL = harness.RECORDER


def on():
    monitoring.set_events(TOOL, chosen)
    return True


def loop(n):
    total = 0
    for i in range(n):
        if i == 1:
            on()
        total += i
    return total


def nested(n):
    for i in range(n):
        for j in range(n):
            if i == j == 1:
                on()
    return n


def condition():
    if on() and on():
        return 1
    return 2


def called():
    return max(1, on(), 2)


harness.record(TOOL)
for family in ("lines", "branches", "jumps", "calls", "instructions"):
    chosen = harness.set_of(family)
    for function, *arguments in ((loop, 3), (nested, 2), (condition,), (called,)):
        function(*arguments)
        monitoring.set_events(TOOL, 0)
        harness.note(f"{family} in {function.__name__}")
