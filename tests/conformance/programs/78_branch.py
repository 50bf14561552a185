# starts with no events
"""BRANCH, deprecated: both sides of a branch in one event."""

import sys

import harness

monitoring = sys.monitoring
BRANCH = harness.events.BRANCH
TOOL = 3


def choose(a):
    if a:
        return 1
    return 2


def loop(n):
    for i in range(n):
        if i == 1:
            n += 1
    return n


def run():
    choose(0), choose(1), loop(2)


monitoring.use_tool_id(TOOL, "deprecated")
monitoring.register_callback(TOOL, BRANCH, harness.callback(TOOL, "BRANCH"))
harness.note("locally")
for code in (choose.__code__, loop.__code__):
    monitoring.set_local_events(TOOL, code, BRANCH)
run()
for code in (choose.__code__, loop.__code__):
    monitoring.set_local_events(TOOL, code, 0)
harness.note("globally")
monitoring.set_events(TOOL, BRANCH)
run()
monitoring.set_events(TOOL, 0)
harness.note("not at all")
run()
harness.note("without a callback")
monitoring.register_callback(TOOL, BRANCH, None)
monitoring.set_events(TOOL, BRANCH)
run()
monitoring.set_events(TOOL, 0)
