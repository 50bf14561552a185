# starts with no events
"""Callbacks that answer DISABLE, and restart_events."""

import sys

import harness

monitoring = sys.monitoring
LINE = harness.events.LINE


def always(event, code, line):
    return monitoring.DISABLE


def only_first_line_of_loop(event, code, line):
    if event == "LINE" and line == code.co_firstlineno + 2:
        return monitoring.DISABLE


def only_returns(event, code, line):
    return monitoring.DISABLE if event == "PY_RETURN" else None


def loop(n):
    total = 0
    for i in range(n):
        total += i
    return total


def choose(a):
    if a:
        return 1
    return 2


def generate(n):
    for i in range(n):
        yield i


def one_line(n):
    for i in range(n): n += i  # fmt: skip
    return n


def call_all():
    loop(3), choose(0), list(generate(2)), one_line(2)


for answer in (always, only_first_line_of_loop, only_returns):
    monitoring.restart_events()
    harness.record(harness.RECORDER, answer)
    monitoring.set_events(harness.RECORDER, harness.ALL)
    harness.note(f"{answer.__name__}: first")
    call_all()
    harness.note("again")
    call_all(), choose(1)
    monitoring.restart_events()
    harness.note("after restart_events")
    loop(2), choose(1)
    monitoring.set_events(harness.RECORDER, 0)
    monitoring.free_tool_id(harness.RECORDER)

harness.note("what was disabled under the same tool id stays so until restart_events")
harness.record(harness.RECORDER)
monitoring.set_events(harness.RECORDER, harness.ALL)
choose(1)
monitoring.set_events(harness.RECORDER, LINE)
choose(1), choose(0)
monitoring.restart_events()
choose(1)
monitoring.set_events(harness.RECORDER, 0)
