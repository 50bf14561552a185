# starts with no events
"""A tool id that is freed takes its events, local ones too, and its callbacks with it."""

import sys

import harness

monitoring = sys.monitoring
LINE, PY_RETURN = harness.events.LINE, harness.events.PY_RETURN


def work(n):
    return n + 1


def other(n):
    return n + 2


harness.record(1)
harness.record(2)
monitoring.set_events(1, PY_RETURN)
monitoring.set_local_events(2, work.__code__, harness.ALL)
harness.note("both")
work(1), other(1)
monitoring.free_tool_id(1)
harness.note("1 is free")
work(2), other(2)
monitoring.free_tool_id(2)
harness.note("2 is free")
work(3), other(3)
harness.record(1)
harness.record(2)
harness.note("claimed again")
work(4), other(4)
monitoring.set_events(2, LINE)
harness.note("2 listens to LINE everywhere")
work(5), other(5)
monitoring.set_events(2, 0)
