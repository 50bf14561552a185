# starts with no events
"""Callbacks that register, replace and remove callbacks, their own too, and free their tool."""

import sys

import harness

monitoring = sys.monitoring
LINE, PY_START, PY_RETURN = harness.events.LINE, harness.events.PY_START, harness.events.PY_RETURN
actions = {}


def reply(event, code, line):
    action = actions.pop(event, None)
    if action:
        action()


def work():
    first = 1
    second = 2
    return first + second


def second(code, line):
    harness.note(f"second callback at {line}")


def run(title, **chosen):
    harness.note(title)
    for tool in (1, 4):
        harness.record(tool, reply)
        monitoring.set_local_events(tool, work.__code__, LINE | PY_START | PY_RETURN)
    actions.update(chosen)
    work()
    work()
    actions.clear()
    for tool in (1, 4):
        monitoring.free_tool_id(tool)


run("nothing")
run("removes itself", LINE=lambda: monitoring.register_callback(4, LINE, None))
run("replaces itself", LINE=lambda: monitoring.register_callback(4, LINE, second))
run("removes the lower tool's", LINE=lambda: monitoring.register_callback(1, LINE, None))
run("replaces the lower tool's", PY_START=lambda: monitoring.register_callback(1, LINE, second))
run("removes a later one", PY_START=lambda: monitoring.register_callback(4, PY_RETURN, None))
run("frees the lower tool", LINE=lambda: monitoring.free_tool_id(1))
run("frees its own tool", LINE=lambda: monitoring.free_tool_id(4))
run("clears its own tool", LINE=lambda: monitoring.clear_tool_id(4))
