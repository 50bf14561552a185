# starts with no events
"""What a callback does fires nothing, for any tool: calls, generators, exceptions, loops."""

import sys
import threading

import harness

monitoring = sys.monitoring
EVERY = harness.set_of(*harness.FAMILIES)


def generate():
    yield 1
    yield 2


def fails():
    raise ValueError


def work(n):
    if n:
        return abs(n)
    return n


def busy(event, code, line):
    for _ in generate():
        work(1)
    try:
        fails()
    except ValueError:
        done.append(event)
    generator = generate()
    next(generator)
    generator.close()


def in_thread(event, code, line):
    """Another thread is not muted."""
    if threading.current_thread() is threading.main_thread():
        thread = threading.Thread(target=work, args=(0,))
        thread.start(), thread.join()


done = []
harness.record(2, busy)
harness.record(4)
harness.set_events(EVERY & ~harness.events.INSTRUCTION, 2, 4)
work(1)
harness.set_events(0, 2, 4)
harness.note(f"{len(done) > 0}")
monitoring.free_tool_id(2)
harness.record(2, in_thread)
monitoring.set_local_events(2, work.__code__, harness.events.PY_RETURN)
monitoring.set_local_events(4, work.__code__, harness.events.PY_START)
harness.note("a callback that waits for a thread")
work(0)
