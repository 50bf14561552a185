# starts with no events
"""Events set, changed and cleared while code runs."""

import sys

import harness

monitoring = sys.monitoring
LINE, PY_START, PY_RETURN = harness.events.LINE, harness.events.PY_START, harness.events.PY_RETURN
TOOL = harness.RECORDER


def early(n):
    return n + 1


def loop_switches(n):
    for i in range(n):
        if i == 1:
            monitoring.set_events(TOOL, LINE)
        if i == 2:
            monitoring.set_events(TOOL, 0)
        early(i)


harness.record(TOOL)
early(0)
monitoring.set_events(TOOL, harness.ALL)
early(1)


def late(n):
    return n + 2


late(2)
late(3)
monitoring.set_events(TOOL, PY_START)
early(4)
monitoring.set_events(TOOL, 0)
early(5)
harness.note("in a loop")
loop_switches(4)
harness.note("two in one line")
monitoring.set_events(TOOL, LINE), early(6)
early(7)
monitoring.set_events(TOOL, 0)
harness.note("set twice is once")
monitoring.set_events(TOOL, PY_RETURN)
monitoring.set_events(TOOL, PY_RETURN)
early(8)
monitoring.set_events(TOOL, 0)
early(9)
harness.note("a function that switches on for itself and what it calls")


def switches_on():
    before = early(11)
    monitoring.set_events(TOOL, harness.ALL)
    after = early(12)
    monitoring.set_events(TOOL, 0)
    return before + after


switches_on()
switches_on()
