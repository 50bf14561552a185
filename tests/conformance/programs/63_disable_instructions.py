# starts with no events
"""DISABLE from INSTRUCTION and from LINE at the same place."""

import sys

import harness

monitoring = sys.monitoring
TOOL = 3
disabled = ()


def reply(event, code, line):
    return monitoring.DISABLE if event in disabled else None


def work(n):
    for i in range(n):
        n += i
    return n


harness.record(TOOL, reply)
chosen = harness.set_of("lines", "instructions")
monitoring.set_local_events(TOOL, work.__code__, chosen)
for disabled in ((), ("INSTRUCTION",), ("LINE",), ("LINE", "INSTRUCTION")):
    harness.note(f"disabled: {disabled}")
    work(2)
    harness.note("again")
    work(2)
    monitoring.restart_events()
harness.note("INSTRUCTION alone")
disabled = ("INSTRUCTION",)
monitoring.set_local_events(TOOL, work.__code__, harness.events.INSTRUCTION)
work(1)
harness.note("again, with another line")
work(2)
work(2)
