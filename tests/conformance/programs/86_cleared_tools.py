# starts with no events
"""clear_tool_id and free_tool_id: events and callbacks are gone, what was disabled comes back by restart."""

import sys

import harness

monitoring = sys.monitoring
CHOSEN = harness.set_of("lines", "branches", "returns")


def work(a):
    if a:
        return 1
    return 2


def fails():
    raise ValueError


def run():
    work(1), work(0)
    try:
        fails()
    except ValueError:
        pass


def set_up(tool, *replies):
    harness.record(tool, *replies)
    monitoring.set_local_events(tool, work.__code__, CHOSEN)
    monitoring.set_events(tool, harness.set_of("exceptions"))


for release in (monitoring.clear_tool_id, monitoring.free_tool_id):
    harness.note(release.__name__)
    set_up(2), set_up(4)
    run()
    release(2)
    harness.note(f"{monitoring.get_tool(2)}, events {monitoring.get_events(2)}")
    run()
    harness.note("again, without callbacks")
    if monitoring.get_tool(2) is None:
        monitoring.use_tool_id(2, "again")
    monitoring.set_local_events(2, work.__code__, CHOSEN)
    monitoring.set_events(4, 0)
    run()
    for tool in (2, 4):
        monitoring.free_tool_id(tool)
harness.note("what was disabled comes back by restart")
set_up(3, lambda event, *_: monitoring.DISABLE if event in ("LINE", "BRANCH_LEFT") else None)
run()
monitoring.clear_tool_id(3)
monitoring.free_tool_id(3)
monitoring.restart_events()
set_up(3)
run()
