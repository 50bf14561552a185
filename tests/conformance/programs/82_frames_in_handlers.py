# starts with no events
"""Events set within handlers, finally blocks and with statements."""

import sys

import harness

monitoring = sys.monitoring
TOOL = harness.RECORDER
CHOSEN = harness.set_of("lines", "exceptions", "returns")


def on():
    monitoring.set_events(TOOL, CHOSEN)


def off():
    monitoring.set_events(TOOL, 0)


class Manager:
    def __enter__(self):
        on()

    def __exit__(self, *raised):
        off()
        return True


def in_handler():
    try:
        int("x")
    except ValueError:
        on()
        value = 1
    return value


def in_finally():
    try:
        return 1
    finally:
        on()
        value = 2
        assert value


def before_raise():
    try:
        on()
        int("x")
    except ValueError:
        value = 1
    return value


def in_with():
    with Manager():
        int("x")
    return 1


def again():
    try:
        int("x")
    except ValueError:
        on()
        raise


harness.record(TOOL)
for function in (in_handler, in_finally, before_raise, in_with, again):
    try:
        function()
    except ValueError:
        pass
    off()
    harness.note(function.__name__)
