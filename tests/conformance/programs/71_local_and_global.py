# starts with no events
"""An event that is set both locally and globally is told once; either can go."""

import sys

import harness

monitoring = sys.monitoring
events = harness.events
TOOL = harness.RECORDER


def work(n):
    for i in range(n):
        if i:
            n = abs(n)
    return n


def other():
    return work(1)


harness.record(TOOL)
for family in ("lines", "branches", "jumps", "calls", "returns"):
    chosen = harness.set_of(family)
    harness.note(f"{family}: locally")
    monitoring.set_local_events(TOOL, work.__code__, chosen)
    other()
    harness.note("globally too")
    monitoring.set_events(TOOL, chosen)
    other()
    harness.note("globally alone")
    monitoring.set_local_events(TOOL, work.__code__, 0)
    other()
    harness.note("locally again, and no more globally")
    monitoring.set_local_events(TOOL, work.__code__, chosen)
    monitoring.set_events(TOOL, 0)
    other()
    monitoring.set_local_events(TOOL, work.__code__, 0)
    harness.note("neither")
    other()
