# starts with no events
"""DISABLE counts for all threads, restart_events too; a callback is muted in its own thread alone."""

import sys
import threading

import harness

monitoring = sys.monitoring
TOOL = 3
disabled = ()


def reply(event, code, line):
    if event in disabled:
        return monitoring.DISABLE


def work(n):
    for i in range(n):
        n += i
    return n


def in_thread(n):
    thread = threading.Thread(target=work, args=(n,))
    thread.start(), thread.join()


harness.record(TOOL, reply)
monitoring.set_local_events(TOOL, work.__code__, harness.set_of("lines", "branches", "returns"))
disabled = ("LINE", "BRANCH_LEFT")
harness.note("one thread disables")
in_thread(2)
harness.note("another")
in_thread(2)
work(2)
disabled = ()
monitoring.restart_events()
harness.note("restarted")
in_thread(1)
disabled = ("BRANCH_RIGHT", "PY_RETURN")
work(1)
in_thread(1)
