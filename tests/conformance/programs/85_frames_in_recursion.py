# starts with no events
"""Events set deep in a recursion, through C code too, and unset on the way back."""

import sys

import harness

monitoring = sys.monitoring
TOOL = harness.RECORDER


def deep(n):
    if n == 0:
        monitoring.set_events(TOOL, chosen)
        return 0
    result = deep(n - 1)
    return result + 1


def through_c(n):
    if n == 0:
        monitoring.set_events(TOOL, chosen)
        return 0
    result = max([n - 1], key=through_c)
    return result + 1


def fails(n):
    if n == 0:
        monitoring.set_events(TOOL, chosen)
        raise ValueError
    try:
        fails(n - 1)
    finally:
        n += 1


def unset(n):
    if n == 0:
        return 0
    unset(n - 1)
    if n == 2:
        monitoring.set_events(TOOL, 0)
    return n


harness.record(TOOL)
for families in (("lines",), ("returns", "exceptions"), ("branches", "calls")):
    chosen = harness.set_of(*families)
    for function in (deep, through_c, fails):
        try:
            function(2)
        except ValueError:
            pass
        monitoring.set_events(TOOL, 0)
        harness.note(f"{families} in {function.__name__}")
    monitoring.set_events(TOOL, chosen)
    unset(3)
