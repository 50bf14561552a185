# starts with no events
"""All six tools have the same events; they come and go one by one."""

import sys

import harness

monitoring = sys.monitoring
CHOSEN = harness.set_of("lines", "branches", "exceptions")


def work(a):
    if a:
        return int(a)
    return a


def attempt(a):
    try:
        return work(a)
    except ValueError:
        return None


for tool in range(6):
    harness.record(tool)
    monitoring.set_local_events(tool, work.__code__, harness.set_of("lines", "branches"))
    work("1")
    harness.note(f"{tool} came")
for tool in (3, 0, 5):
    monitoring.set_local_events(tool, work.__code__, 0)
    work("")
    harness.note(f"{tool} went")
for tool in (5, 0):
    monitoring.set_events(tool, harness.set_of("exceptions"))
attempt("x")
for tool in (5, 0):
    monitoring.set_events(tool, 0)
