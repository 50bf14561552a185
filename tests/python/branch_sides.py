"""Listens to the sides of branches in every way there is, and prints what is told.

Run by `test_branches.py`; by hand with CPython 3.14, to record what is expected. Offsets differ between
versions, so the lines of a branch and of where it goes are shown. Callbacks are registered for sides
alone: what CPython 3.14 tells to those for BRANCH leaves out events that it ought to tell of.
"""

import sys
from collections.abc import Callable
from types import CodeType
from typing import Any

if sys.version_info < (3, 14):
    import monitrace

    monitrace.install()

monitoring: Any = vars(sys)["monitoring"]
events = monitoring.events
LEFT, RIGHT, BRANCH = events.BRANCH_LEFT, events.BRANCH_RIGHT, events.BRANCH
LOW, HIGH = 1, 3
NAMES = {LEFT: "left", RIGHT: "right"}
told: list[str] = []

Callback = Callable[[CodeType, int, int], object]


def loop(n: int) -> int:
    total = 0
    for each in range(n):
        if each % 2:
            total += each
        elif each == 4:
            total = 0
    return total


def choose(a: object, b: object) -> object:
    chosen = 5 if a else b
    if chosen is None:
        return 0
    if (a and b) or not chosen:
        chosen = 1
    return [each for each in (a, b) if each is not None]


PROGRAMS: dict[Any, Callable[[], object]] = {
    loop.__code__: lambda: loop(6),
    choose.__code__: lambda: (choose(1, 2), choose(None, 3), choose(0, None)),
}


def line(code: CodeType, offset: int) -> int:
    lines = [line for start, end, line in code.co_lines() if start <= offset < end]
    return (lines[0] or 0) - code.co_firstlineno


def callback(tool: int, event: int, disable: Callable[[int], bool] = lambda _: False) -> Callback:
    def note(code: CodeType, offset: int, destination: int) -> object:
        if code not in PROGRAMS:
            return None
        source = line(code, offset)
        tool_name = "" if tool == LOW else "high "
        told.append(f"{tool_name}{NAMES[event]} {source}->{line(code, destination)}")
        return monitoring.DISABLE if disable(source) else None

    return note


def listen(tool: int, *registered: int, disable: Callable[[int], bool] = lambda _: False) -> None:
    if monitoring.get_tool(tool) is None:
        monitoring.use_tool_id(tool, "sides")
    for event in registered:
        monitoring.register_callback(tool, event, callback(tool, event, disable))


def run(title: str) -> None:
    """Run both programs and print what was told of each."""
    for code, program in PROGRAMS.items():
        program()
        print(f"{title}: {code.co_name}: {', '.join(told)}")
        told.clear()


def free(*tools: int) -> None:
    monitoring.restart_events()
    for tool in tools:
        monitoring.free_tool_id(tool)


for code in PROGRAMS:
    table = [tuple(line(code, offset) for offset in branch) for branch in code.co_branches()]
    print(f"table: {code.co_name}: {table}")

listen(LOW, LEFT, RIGHT)
for name, wanted in {"left": LEFT, "right": RIGHT, "both": LEFT | RIGHT, "branch": BRANCH}.items():
    monitoring.set_events(LOW, wanted)
    run(name)
free(LOW)
run("freed")

listen(LOW, LEFT, RIGHT)
monitoring.set_local_events(LOW, loop.__code__, LEFT)
run("left of loop")
monitoring.set_local_events(LOW, choose.__code__, BRANCH)
run("left of loop, both of choose")
monitoring.set_events(LOW, RIGHT)
run("left of loop, both of choose, right of all")
monitoring.set_events(LOW, 0)
monitoring.set_local_events(LOW, loop.__code__, 0)
run("both of choose")
monitoring.clear_tool_id(LOW)
listen(LOW, LEFT, RIGHT)
run("cleared")
monitoring.set_local_events(LOW, loop.__code__, RIGHT)
run("right of loop")
free(LOW)

for name, disabled in {"left": LEFT, "right": RIGHT}.items():
    listen(LOW, LEFT, RIGHT)
    monitoring.register_callback(LOW, disabled, callback(LOW, disabled, lambda _: True))
    monitoring.set_events(LOW, LEFT | RIGHT)
    run(f"{name} disabled")
    run(f"{name} disabled, again")
    monitoring.restart_events()
    run(f"{name} disabled, restarted")
    free(LOW)

listen(LOW, LEFT, RIGHT, disable=lambda _: True)
monitoring.set_events(LOW, LEFT)
run("left alone, disabled")
run("left alone, disabled, again")
monitoring.set_events(LOW, LEFT | RIGHT)
run("and right")
run("and right, again")
monitoring.restart_events()
run("and right, restarted")
free(LOW)

listen(LOW, LEFT, RIGHT, disable=lambda _: True)
monitoring.set_local_events(LOW, loop.__code__, RIGHT)
run("right of loop, disabled")
run("right of loop, disabled, again")
monitoring.set_local_events(LOW, loop.__code__, BRANCH)
run("and left of loop")
run("and left of loop, again")
free(LOW)

listen(LOW, LEFT, RIGHT)
listen(HIGH, LEFT, RIGHT, disable=lambda line: line == 2)
monitoring.set_events(LOW, LEFT)
monitoring.set_events(HIGH, BRANCH)
run("two tools, the other disables a line")
run("two tools, again")
monitoring.set_events(HIGH, RIGHT)
monitoring.set_events(LOW, BRANCH)
run("two tools, exchanged")
free(HIGH)
run("one is freed")
free(LOW)
run("both are freed")
