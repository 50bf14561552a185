# starts with no events
"""Several tools at once: the highest id is told first."""

import sys

import harness

monitoring = sys.monitoring
LINE, PY_START, PY_RETURN = harness.events.LINE, harness.events.PY_START, harness.events.PY_RETURN


def disable_lines(event, code, line):
    return monitoring.DISABLE if event == "LINE" else None


def work(n):
    for i in range(n):
        n += 1
    return n


def helper():
    return work(1)


harness.record(1)
harness.record(5)
harness.record(3, disable_lines)
harness.note("5 and 1: every event of work")
for tool in (1, 5):
    monitoring.set_local_events(tool, work.__code__, harness.ALL)
helper()
harness.note("3 also, and it disables its lines")
monitoring.set_local_events(3, work.__code__, harness.ALL)
monitoring.set_local_events(3, helper.__code__, LINE | PY_RETURN)
helper()
helper()
harness.note("5 has nothing left, 1 listens to PY_RETURN everywhere")
monitoring.set_local_events(5, work.__code__, 0)
monitoring.set_events(1, PY_RETURN)
helper()
monitoring.set_events(1, 0)
harness.note("1's callback for LINE is gone")
monitoring.register_callback(1, LINE, None)
helper()
