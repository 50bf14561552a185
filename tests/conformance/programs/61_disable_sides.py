# starts with no events
"""DISABLE from a side of a branch: the other side stays."""

import sys

import harness

monitoring = sys.monitoring
TOOL = 3
disabled = ""


def reply(event, code, line):
    return monitoring.DISABLE if event == disabled else None


def choose(a):
    if a:
        return 1
    return 2


def loop(n):
    for i in range(n):
        if i == 1:
            n += 1
    return n


def run():
    choose(0), choose(1), choose(0), choose(1)
    loop(3)


harness.record(TOOL, reply)
for code in (choose.__code__, loop.__code__):
    monitoring.set_local_events(TOOL, code, harness.set_of("branches"))
for disabled in ("BRANCH_LEFT", "BRANCH_RIGHT"):
    harness.note(f"{disabled} disabled")
    run()
    harness.note("restarted")
    monitoring.restart_events()
disabled = "BRANCH_LEFT"
choose(1), choose(1)
disabled = "BRANCH_RIGHT"
harness.note("then the right side too")
choose(0), choose(0), choose(1)
harness.note("restarted")
disabled = ""
monitoring.restart_events()
run()
harness.note("one side alone")
for code in (choose.__code__, loop.__code__):
    monitoring.set_local_events(TOOL, code, harness.events.BRANCH_RIGHT)
run()
harness.note("and disabled")
disabled = "BRANCH_RIGHT"
run()
run()
