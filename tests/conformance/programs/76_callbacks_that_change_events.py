# starts with no events
"""Callbacks that set events: more, fewer, none, for other code."""

import sys

import harness

monitoring = sys.monitoring
LINES, BRANCHES, EXCEPTIONS = (harness.set_of(each) for each in ("lines", "branches", "exceptions"))
TOOL = 2
changes = {}


def reply(event, code, line):
    change = changes.pop((event, line), None)
    if change:
        change()


def work(n):
    for i in range(n):
        if i:
            n += 1
    try:
        int("x")
    except ValueError:
        n += 1
    return other(n)


def other(n):
    return n + 1


def everywhere(chosen):
    return lambda: monitoring.set_events(TOOL, chosen)


def here(chosen):
    return lambda: monitoring.set_local_events(TOOL, work.__code__, chosen)


harness.record(TOOL, reply)
for title, change in (
    ("lines and branches", everywhere(LINES | BRANCHES)),
    ("lines and exceptions", everywhere(LINES | EXCEPTIONS)),
    ("none", everywhere(0)),
    ("branches here", here(BRANCHES)),
):
    for place in (("LINE", 22), ("LINE", 23), ("LINE", 26)):
        harness.note(f"{title}, at {place}")
        changes[place] = change
        monitoring.set_events(TOOL, LINES)
        work(2)
        monitoring.set_events(TOOL, 0)
        monitoring.set_local_events(TOOL, work.__code__, 0)
