# starts with no events
"""What callbacks of calls may do: raise, set events, replace each other."""

import sys

import harness

monitoring = sys.monitoring
LINE = harness.events.LINE


class Stop(Exception):
    """Raised by a callback."""


target = None
action = None


def reply(event, code, line):
    if (event, line - code.co_firstlineno) == target:
        action()


def stop():
    global target
    target = None
    raise Stop


def more():
    monitoring.set_local_events(4, work.__code__, harness.CALLS | LINE)


def less():
    monitoring.set_local_events(4, work.__code__, LINE)


def nothing():
    monitoring.set_local_events(4, work.__code__, 0)


def work():
    try:
        len("ab")
        int("x")
    except ValueError:
        abs(-1)
    except Stop:
        abs(-2)
    return abs(
        -3,
    )


def unguarded():
    return work() or len("ab")


harness.record(4, reply)
places = [("CALL", 2), ("C_RETURN", 2), ("CALL", 3), ("C_RAISE", 3), ("CALL", 5), ("C_RETURN", 5)]
for action in (stop, more, less, nothing):
    for place in places:
        harness.note(f"{action.__name__} in {place[0]} of line {place[1]}")
        target = place
        monitoring.set_local_events(4, work.__code__, harness.CALLS)
        try:
            work()
        except Stop as error:
            lines, traceback = [], error.__traceback__.tb_next
            while traceback:
                frame, line, traceback = traceback.tb_frame, traceback.tb_lineno, traceback.tb_next
                if harness.is_of_program(frame, frame.f_code):
                    lines.append((frame.f_code.co_name, line))
            harness.note(f"{lines}, in place of {error.__context__!r}")
        monitoring.set_local_events(4, work.__code__, 0)

target, action = None, None
monitoring.set_local_events(4, work.__code__, harness.CALLS)


def reconfigure():
    """Events change in the middle of calls."""
    monitoring.set_events(4, harness.CALLS)
    monitoring.set_events(4, harness.CALLS | LINE)
    monitoring.set_events(4, LINE)
    monitoring.set_events(4, harness.CALLS)
    monitoring.set_events(4, 0)
    monitoring.set_events(4, harness.CALLS)
    try:
        monitoring.set_events(9, 0)
    except ValueError:
        pass
    monitoring.set_events(4, 0)


harness.note("set and unset by what is called")
reconfigure()
reconfigure()
