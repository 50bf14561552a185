# starts with no events
"""Callbacks that raise: the exception comes out of the monitored code at that point."""

import sys

import harness

monitoring = sys.monitoring


class Stop(Exception):
    """Raised by a callback."""


target = None


def raise_at_target(event, code, line):
    global target
    if (code.co_name, event, line - code.co_firstlineno) == target:
        target = None
        raise Stop


def work(n):
    for i in range(n):
        n += i
    return n


def guarded():
    try:
        return work(2)
    except Stop:
        return "caught outside"


def inside():
    try:
        a = 1
        b = 2
    except Stop:
        return "caught inside"
    finally:
        a = 3
    return a + b


def generate():
    try:
        yield 1
        yield 2
    except Stop:
        yield 3


harness.record(1)
harness.record(4, raise_at_target)
for tool in (1, 4):
    for function in (work, guarded, inside, generate):
        monitoring.set_local_events(tool, function.__code__, harness.ALL)
for event, line in (("PY_START", 0), ("LINE", 1), ("LINE", 2), ("LINE", 3), ("PY_RETURN", 3)):
    harness.note(f"{event} of line {line}")
    target = "work", event, line
    if guarded() != "caught outside":
        raise AssertionError("the exception was lost")
target = "inside", "LINE", 3
harness.note("in a try block")
if inside() != "caught inside":
    raise AssertionError("the exception was lost")
target = "generate", "LINE", 3
harness.note("in a generator")
if list(generate()) != [1, 3]:
    raise AssertionError("the exception was lost")
harness.note("not at all")
work(1)
