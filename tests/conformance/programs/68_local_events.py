# starts with no events
"""Each local event set for one code object, by itself: nobody else's is told."""

import sys

import harness

monitoring = sys.monitoring
events = harness.events
LOCAL = (
    *("PY_START", "PY_RESUME", "PY_RETURN", "PY_YIELD", "CALL", "LINE", "INSTRUCTION", "JUMP"),
    *("BRANCH_LEFT", "BRANCH_RIGHT", "STOP_ITERATION"),
)


def generate(n):
    for i in range(n):
        yield abs(i)
    return n


def watched(n):
    for i in generate(n):
        n += i
    result = yield from generate(1)
    return result


def unwatched(n):
    for i in generate(n):
        n += i
    return n


def run():
    list(watched(2)), unwatched(2)


harness.record(harness.RECORDER)
code = watched.__code__
for name in LOCAL:
    harness.note(name)
    monitoring.set_local_events(harness.RECORDER, code, getattr(events, name))
    harness.note(f"set: {monitoring.get_local_events(harness.RECORDER, code) == getattr(events, name)}")
    run()
    monitoring.set_local_events(harness.RECORDER, code, 0)
harness.note("none")
run()
