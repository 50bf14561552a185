# starts with no events
"""Events set while frames other than the caller's are in flight: callers, generators, a thread."""

import sys
import threading

import harness

monitoring = sys.monitoring
TOOL = harness.RECORDER


def on():
    monitoring.set_events(TOOL, harness.ALL)


def outer():
    value = 1
    inner()
    value += 1
    return value


def inner():
    value = 1
    on()
    value += 1
    return value


def generate():
    for i in range(3):
        yield i
    return "done"


def coroutine_like():
    got = yield from generate()
    return got


def waits():
    ready.release()
    go.acquire()
    value = 1
    return value


harness.record(TOOL)
harness.note("callers of the caller")
outer()
monitoring.set_events(TOOL, 0)
harness.note("suspended generators")
plain = generate()
delegating = coroutine_like()
next(plain), next(delegating)
monitoring.set_events(TOOL, harness.ALL)
list(plain)
list(delegating)
monitoring.set_events(TOOL, 0)
harness.note("a thread that waits")
ready, go = threading.Lock(), threading.Lock()
ready.acquire(), go.acquire()
thread = threading.Thread(target=waits)
thread.start(), ready.acquire()
monitoring.set_events(TOOL, harness.ALL)
go.release(), thread.join()
monitoring.set_events(TOOL, 0)
