# starts with no events
"""DISABLE from JUMP."""

import sys

import harness

monitoring = sys.monitoring
TOOL = 3
disabled_line = None


def reply(event, code, line):
    return monitoring.DISABLE if line == disabled_line else None


def work(n):
    for i in range(n):
        if i == 0:
            n += 1
        else:
            n += 2
    return n


harness.record(TOOL, reply)
monitoring.set_local_events(TOOL, work.__code__, harness.events.JUMP)
work(3)
harness.note("one of two disabled")
disabled_line = 22
work(3)
work(3)
harness.note("the other as well")
disabled_line = 20
work(3)
work(3)
disabled_line = None
monitoring.restart_events()
harness.note("restarted")
work(2)
harness.note("globally")
monitoring.set_local_events(TOOL, work.__code__, 0)
monitoring.set_events(TOOL, harness.events.JUMP)
work(2)
monitoring.set_events(TOOL, 0)
work(2)
