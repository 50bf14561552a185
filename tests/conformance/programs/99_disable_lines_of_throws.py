# starts with no events
"""DISABLE from the LINE of what is thrown into a generator that waits for another, and callbacks that raise there."""

import sys

import harness

monitoring = sys.monitoring
TOOL, LOWER = 3, 1
told = 0
answer_at = 0


def answer():
    return None


def reply(event, code, line):
    global told
    if event != "LINE" or code is not outer.__code__:
        return None
    told += 1
    return answer() if told == answer_at else None


def inner():
    yield 1


def outer():
    yield from inner()


def throw():
    waiting = outer()
    try:
        next(waiting)
        waiting.throw(KeyError)
    except (KeyError, harness.CallbackError):
        pass


def run(about, at, does):
    global told, answer_at, answer
    told, answer_at, answer = 0, at, does
    harness.note(about)
    throw()
    throw()
    monitoring.restart_events()


harness.record(TOOL, reply)
harness.record(LOWER)
for tool in (TOOL, LOWER):
    # With PY_RESUME 3.14 is sure to tell of this line.
    events = monitoring.events.LINE | monitoring.events.PY_RESUME
    monitoring.set_local_events(tool, outer.__code__, events)
    monitoring.set_events(tool, monitoring.events.RAISE)
run("told", 0, answer)
run("the first line of outer disabled", 1, lambda: monitoring.DISABLE)
run("that of the throw disabled", 2, lambda: monitoring.DISABLE)
run("the callback raises", 2, harness.fail)
for tool in (TOOL, LOWER):
    monitoring.free_tool_id(tool)
