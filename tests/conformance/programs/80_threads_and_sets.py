# starts with no events
"""Events set by one thread for another that is in the middle of a function."""

import sys
import threading

import harness

monitoring = sys.monitoring
TOOL = harness.RECORDER


def work():
    for i in range(2):
        if i == 0:
            harness.pause(meeting)
        try:
            int("x")
        except ValueError:
            value = 1
    return value


def run(chosen):
    thread = threading.Thread(target=work)
    thread.start()
    meeting.wait()
    chosen()
    harness.let_go_on(meeting, thread)
    monitoring.set_local_events(TOOL, work.__code__, 0)
    monitoring.set_events(TOOL, 0)


meeting = threading.Barrier(2)
harness.record(TOOL)
for family in ("lines", "returns", "exceptions", "branches", "jumps", "instructions"):
    harness.note(f"{family}, globally")
    run(lambda: monitoring.set_events(TOOL, harness.set_of(family)))
    if family != "exceptions":
        harness.note(f"{family}, locally")
        run(lambda: monitoring.set_local_events(TOOL, work.__code__, harness.set_of(family)))
