# starts with no events
"""Events that cannot be set for one code object, nor by themselves."""

import sys

import harness

monitoring = sys.monitoring
events = harness.events
TOOL = harness.RECORDER


def work():
    return len("ab")


def attempt(what, function, *arguments):
    try:
        function(*arguments)
    except (ValueError, TypeError) as error:
        harness.note(f"{what}: {type(error).__name__}")
    else:
        harness.note(f"{what}: accepted")
    work()


harness.record(TOOL)
for name in ("PY_THROW", "PY_UNWIND", "RAISE", "RERAISE", "EXCEPTION_HANDLED"):
    attempt(f"local {name}", monitoring.set_local_events, TOOL, work.__code__, getattr(events, name))
for name in ("C_RETURN", "C_RAISE"):
    attempt(f"local {name}", monitoring.set_local_events, TOOL, work.__code__, getattr(events, name))
    attempt(f"global {name}", monitoring.set_events, TOOL, getattr(events, name))
attempt("both ends", monitoring.set_events, TOOL, events.C_RETURN | events.C_RAISE)
attempt("CALL and one end", monitoring.set_events, TOOL, events.CALL | events.C_RETURN)
attempt("CALL and both", monitoring.set_events, TOOL, harness.CALLS)
attempt("none", monitoring.set_events, TOOL, 0)
attempt("no code", monitoring.set_local_events, TOOL, work, events.LINE)
attempt("unused tool", monitoring.set_local_events, 4, work.__code__, events.LINE)
attempt("unused tool, globally", monitoring.set_events, 4, events.LINE)
attempt("no such tool", monitoring.set_events, 6, events.LINE)
attempt("no such event", monitoring.set_events, TOOL, 1 << 24)
attempt("negative", monitoring.set_events, TOOL, -1)
attempt("callback for two", monitoring.register_callback, TOOL, events.LINE | events.CALL, None)
attempt("callback for none", monitoring.register_callback, TOOL, 0, None)
attempt("claimed twice", monitoring.use_tool_id, TOOL, "again")
