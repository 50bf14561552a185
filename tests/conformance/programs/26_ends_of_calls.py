# starts with no events
"""C_RETURN and C_RAISE follow CALL: set, disabled, restarted and reconfigured."""

import sys

import harness

monitoring = sys.monitoring
CALL, C_RETURN, C_RAISE = harness.events.CALL, harness.events.C_RETURN, harness.events.C_RAISE
disabling = None


def reply(event, code, line):
    return monitoring.DISABLE if event == disabling else None


def work(n):
    for _ in range(n):
        len("ab")
        try:
            int("x")
        except ValueError:
            pass


def nested(n):
    if n:
        max([n], key=lambda _: nested(n - 1))


def attempt(function):
    try:
        function(2)
    except ValueError as error:
        harness.note(f"{error}")


harness.record(2, reply)
harness.note("nothing is set")
work(1)
harness.note("local events")
monitoring.set_local_events(2, work.__code__, harness.CALLS)
work(1)
nested(1)
monitoring.set_local_events(2, work.__code__, 0)
harness.note("CALL alone brings its ends")
monitoring.set_local_events(2, work.__code__, CALL)
work(1)
monitoring.set_local_events(2, work.__code__, 0)

for code in (work.__code__, nested.__code__):
    monitoring.set_local_events(2, code, harness.CALLS)
harness.note("disabled by CALL")
disabling = "CALL"
work(2)
nested(2)
harness.note("restarted")
disabling = None
monitoring.restart_events()
work(1)
nested(1)
harness.note("disabled by C_RETURN")
disabling = "C_RETURN"
attempt(work)
disabling = None
attempt(work)
harness.note("disabled by C_RAISE")
disabling = "C_RAISE"
attempt(work)
disabling = None
attempt(work)

harness.note("without a callback for CALL")
monitoring.free_tool_id(2)
harness.record(2, reply)
monitoring.register_callback(2, CALL, None)
for code in (work.__code__, nested.__code__):
    monitoring.set_local_events(2, code, harness.CALLS)
work(2)
nested(2)

harness.note("two tools, one of which disables CALL")
monitoring.free_tool_id(2)
harness.record(2, reply)
harness.record(4)
for tool in (2, 4):
    for code in (work.__code__, nested.__code__):
        monitoring.set_local_events(tool, code, harness.CALLS)
disabling = "CALL"
work(2)
nested(2)
