# starts with no events
"""Events set while generators and coroutines are suspended; then they are sent to, thrown into, closed."""

import sys
from types import coroutine

import harness

monitoring = sys.monitoring
TOOL = harness.RECORDER
CHOSEN = harness.set_of("generators", "exceptions", "returns")


def generate():
    try:
        yield 1
        yield 2
    except KeyError:
        yield "caught"
    finally:
        done = True
        assert done


def delegate():
    return (yield from generate())


@coroutine
def wait():
    yield "waiting"


async def main():
    try:
        await wait()
    except KeyError:
        return "caught"
    return "done"


def attempt(action, *arguments):
    try:
        action(*arguments)
    except (StopIteration, OSError):
        pass


harness.record(TOOL)
for make in (generate, delegate, main):
    for action, *arguments in (("send", None), ("throw", KeyError), ("throw", OSError), ("close",)):
        suspended = make()
        suspended.send(None)
        harness.note(f"{action} of {make.__name__}")
        monitoring.set_events(TOOL, CHOSEN)
        attempt(getattr(suspended, action), *arguments)
        attempt(suspended.close)
        monitoring.set_events(TOOL, 0)
