# starts with no events
"""DISABLE from PY_START, PY_RESUME, PY_YIELD and PY_RETURN: each place of the code by itself."""

import sys

import harness

monitoring = sys.monitoring
TOOL = 3
disabled = ""


def reply(event, code, line):
    return monitoring.DISABLE if event == disabled else None


def two_ends(a):
    if a:
        return 1
    return 2


def generate(a):
    yield 1
    if a:
        yield 2
    received = yield 3
    return received


def run():
    two_ends(1), two_ends(0)
    list(generate(0)), list(generate(1))


harness.record(TOOL, reply)
chosen = harness.set_of("starts", "returns", "generators") & ~harness.events.PY_THROW
for code in (two_ends.__code__, generate.__code__):
    monitoring.set_local_events(TOOL, code, chosen)
for disabled in ("PY_START", "PY_RETURN", "PY_RESUME", "PY_YIELD"):
    harness.note(f"{disabled} disabled")
    run()
    harness.note("again")
    run()
harness.note("restarted")
disabled = ""
monitoring.restart_events()
run()
