# starts with no events
"""Anything that can be called can be a callback; each is told with the documented arguments."""

import functools
import sys

import harness

monitoring = sys.monitoring
events = harness.events
TOOL = 2


class Recorder:
    def method(self, *arguments):
        harness.note(f"method: {kinds(arguments)}")

    def __call__(self, *arguments):
        harness.note(f"instance: {kinds(arguments)}")


def kinds(arguments):
    return [type(each).__name__ for each in arguments]


def generate(n):
    for i in range(n):
        yield i


def work(n):
    for i in generate(n):
        n += abs(i)
    return n


def plain(*arguments, **names):
    harness.note(f"plain{names or ''}: {kinds(arguments)}")


told = []
recorder = Recorder()
monitoring.use_tool_id(TOOL, "kinds")
for callback in (plain, recorder.method, recorder, functools.partial(plain, named=1), lambda *a: plain(*a)):
    for event in (events.LINE, events.PY_RETURN, events.CALL, events.BRANCH_LEFT, events.JUMP):
        monitoring.register_callback(TOOL, event, callback)
        monitoring.set_local_events(TOOL, work.__code__, event)
        work(1)
        given_back = monitoring.register_callback(TOOL, event, None)
        harness.note(f"given back: {given_back is callback}")
monitoring.register_callback(TOOL, events.PY_YIELD, lambda *arguments: told.append(arguments[2]))
monitoring.set_local_events(TOOL, generate.__code__, events.PY_YIELD)
work(3)
harness.note(f"values: {told}")
monitoring.register_callback(TOOL, events.PY_YIELD, list)
try:
    work(1)
except TypeError as error:
    harness.note(f"{type(error).__name__}")
