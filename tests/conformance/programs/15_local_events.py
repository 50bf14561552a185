# starts with no events
"""Events set for one code object."""

import sys

import harness

monitoring = sys.monitoring
LINE, PY_START, PY_RETURN = harness.events.LINE, harness.events.PY_START, harness.events.PY_RETURN
TOOL = harness.RECORDER


def watched(n):
    total = helper(n)
    return total + 1


def helper(n):
    return n * 2


def generate():
    yield 1
    yield 2


def outer():
    def inner():
        return "inner"

    return inner()


def call_all():
    watched(1), helper(2), list(generate()), outer()


harness.record(TOOL)
harness.note("watched: every event")
monitoring.set_local_events(TOOL, watched.__code__, harness.ALL)
call_all()
harness.note("helper: PY_START too")
monitoring.set_local_events(TOOL, helper.__code__, PY_START)
call_all()
harness.note("watched: none")
monitoring.set_local_events(TOOL, watched.__code__, 0)
call_all()
harness.note("generate: LINE; outer: PY_RETURN, which is not inner's")
monitoring.set_local_events(TOOL, generate.__code__, LINE)
monitoring.set_local_events(TOOL, outer.__code__, PY_RETURN)
call_all()
harness.note("globally PY_RETURN besides")
monitoring.set_events(TOOL, PY_RETURN)
call_all()
harness.note("globally none: the local ones stay")
monitoring.set_events(TOOL, 0)
call_all()
harness.note(f"helper has {monitoring.get_local_events(TOOL, helper.__code__) == PY_START}")
for function in (helper, generate, outer):
    monitoring.set_local_events(TOOL, function.__code__, 0)
call_all()

harness.note("DISABLE from a local event")
monitoring.free_tool_id(TOOL)
harness.record(TOOL, lambda event, code, line: monitoring.DISABLE)
monitoring.set_local_events(TOOL, watched.__code__, harness.ALL)
call_all()
call_all()
monitoring.restart_events()
harness.note("after restart_events")
call_all()
