# starts with no events
"""restart_events: for all tools and all places, while code runs, from a callback."""

import sys

import harness

monitoring = sys.monitoring
LINE, PY_START, PY_RETURN = harness.events.LINE, harness.events.PY_START, harness.events.PY_RETURN
restarts_at = None


def disables(event, code, line):
    global restarts_at
    if line == restarts_at:
        restarts_at = None
        monitoring.restart_events()
    return monitoring.DISABLE


def loop(n, restart_in=None):
    for i in range(n):
        if i == restart_in:
            monitoring.restart_events()
    return n


def work():
    first = 1
    second = 2
    return first + second


for tool in (1, 4):
    harness.record(tool, disables)
    for function in (loop, work):
        monitoring.set_local_events(tool, function.__code__, LINE | PY_START | PY_RETURN)
loop(2), work()
harness.note("all disabled")
loop(2), work()
harness.note("restarted in a loop")
loop(4, 2)
work()
harness.note("restarted by a callback")
monitoring.restart_events()
restarts_at = 31
work()
harness.note("again")
work()
work()
harness.note("restarted twice")
monitoring.restart_events()
monitoring.restart_events()
work()
