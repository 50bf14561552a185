# starts with no events
"""DISABLE from STOP_ITERATION."""

import sys

import harness

monitoring = sys.monitoring
TOOL = 3
disables = False


def reply(event, code, line):
    return monitoring.DISABLE if disables else None


def generate(n):
    yield 1
    return n


def loops(n):
    for _ in generate(n):
        pass
    for _ in generate(n + 1):
        pass


def delegates(n):
    result = yield from generate(n)
    return result


def run():
    loops(1), list(delegates(3))


harness.record(TOOL, reply)
for code in (loops.__code__, delegates.__code__):
    monitoring.set_local_events(TOOL, code, harness.events.STOP_ITERATION)
run()
harness.note("disabled")
disables = True
run()
harness.note("again")
run()
disables = False
monitoring.restart_events()
harness.note("restarted")
run()
harness.note("globally")
monitoring.set_events(TOOL, harness.events.STOP_ITERATION)
run()
monitoring.set_events(TOOL, 0)
