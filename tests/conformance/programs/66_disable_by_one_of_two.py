# starts with no events
"""DISABLE by one tool is nothing to another, whatever the event."""

import sys

import harness

monitoring = sys.monitoring
LOCAL = harness.set_of("lines", "starts", "returns", "branches", "jumps")


def disables(event, code, line):
    return monitoring.DISABLE


def work(n):
    for i in range(n):
        n = max(n, i)
    return n


def generate():
    yield 1
    yield 2


harness.record(2, disables)
harness.record(5)
for tool in (2, 5):
    monitoring.set_local_events(tool, work.__code__, LOCAL)
harness.note("2 disables")
work(2)
harness.note("nothing left for 2")
work(2)
harness.note("nothing left for 5")
monitoring.set_local_events(5, work.__code__, 0)
work(2)
harness.note("restarted")
monitoring.restart_events()
work(1)
harness.note("generators")
for tool in (2, 5):
    monitoring.set_local_events(tool, generate.__code__, harness.events.PY_YIELD | harness.events.PY_RESUME)
list(generate())
list(generate())
