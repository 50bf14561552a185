"""Runs a program in a debugger over sys.monitoring, and prints where it stopped.

`python debugger.py HABIT PROGRAM`. The bdb.py is whichever is found first, for before 3.14 it is another
Python's. This must not need pytest, nor judge.
"""

import bdb
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

SKIPPED = ["[!_]*", "_[!_]*"]
"""Every module but `__main__`: others differ among versions."""

Habit = Callable[["Debugger", FrameType], None]
"""What somebody does whenever the debugger has stopped."""


class Debugger(bdb.Bdb):
    """Writes down each stop in the program, and goes on."""

    def __init__(self, program: str, habit: Habit) -> None:
        super().__init__(skip=SKIPPED, backend="monitoring")  # type: ignore[call-arg,unused-ignore]
        self.program = self.canonic(program)
        self.habit = habit
        self.stops: list[str] = []

    def stopped(self, event: str, frame: FrameType, value: str = "") -> None:
        """Write it down, and go on."""
        self.stops.append(f"{event} {frame.f_code.co_name} {frame.f_lineno} {value}".rstrip())
        self.habit(self, frame)

    def user_call(self, frame: FrameType, _: Any) -> None:
        """A function is called."""
        self.stopped("call", frame)

    def user_line(self, frame: FrameType) -> None:
        """A line is to be run."""
        self.stopped("line", frame)

    def user_return(self, frame: FrameType, value: Any) -> None:
        """A function returns, or a generator yields."""
        self.stopped("return", frame, type(value).__name__ if " at 0x" in repr(value) else repr(value))

    def user_exception(self, frame: FrameType, information: Any) -> None:
        """Something is raised. Its words differ among versions."""
        self.stopped("exception", frame, information[0].__name__)

    def user_opcode(self, frame: FrameType) -> None:
        """An instruction is to be run."""
        self.stopped("opcode", frame)

    def do_clear(self, number: str) -> None:  # type: ignore[override,unused-ignore]
        """A temporary breakpoint was met."""
        self.clear_bpbynumber(int(number))

    def breakpoints(self) -> None:
        """Set one at each line that asks for it: `# break`, and what `set_break` may be told."""
        for line, text in enumerate(Path(self.program).read_text().splitlines(), 1):
            _, mark, options = text.partition("# break")
            if mark:
                problem = self.set_break(self.program, line, **dict(eval(f"dict({options})")))
                assert problem is None, problem


def step(debugger: Debugger, _: FrameType) -> None:
    """Into everything."""
    debugger.set_step()


def over(debugger: Debugger, frame: FrameType) -> None:
    """Line by line through what the module calls."""
    if frame.f_code.co_name == "<module>":
        debugger.set_step()
    else:
        debugger.set_next(frame)


def until(debugger: Debugger, frame: FrameType) -> None:
    """A step, and out of loops. Nothing leads back out of a generator."""
    if len(debugger.stops) % 3 or frame.f_code.co_flags & inspect.CO_GENERATOR:
        debugger.set_step()
    else:
        debugger.set_until(frame)


def out(debugger: Debugger, frame: FrameType) -> None:
    """Some steps, and out of where they led."""
    generator = frame.f_code.co_flags & inspect.CO_GENERATOR
    if generator or frame.f_code.co_name in ("<module>", "main") or len(debugger.stops) % 4:
        debugger.set_step()
    else:
        debugger.set_return(frame)


def go_on(debugger: Debugger, _: FrameType) -> None:
    """From breakpoint to breakpoint."""
    debugger.set_continue()


def mixed(debugger: Debugger, frame: FrameType) -> None:
    """By turns, with breakpoints."""
    turns = (step, over, step, until, step, step, out, go_on)
    turns[len(debugger.stops) % len(turns)](debugger, frame)


def asked(debugger: Debugger, frame: FrameType) -> None:
    """From where the program asks for it: some steps, and on."""
    turns = (step, step, over, step, until, out, step, go_on)
    turns[len(debugger.stops) % len(turns)](debugger, frame)


HABITS = {habit.__name__: habit for habit in (step, over, until, out, go_on, mixed, asked)}
WITH_BREAKPOINTS = (go_on, mixed)


def main(name: str, program: str) -> None:
    """Debug it."""
    habit = HABITS[name]
    debugger = Debugger(program, habit)
    namespace = {"__name__": "__main__"}
    code = compile(Path(program).read_text(), program, "exec", dont_inherit=True)
    if habit is asked:
        sys.breakpointhook = debugger.set_trace
        exec(code, namespace)
    else:
        if habit in WITH_BREAKPOINTS:
            debugger.breakpoints()
        debugger.run(code, namespace)
    print("\n".join(debugger.stops))


if __name__ == "__main__":
    main(*sys.argv[1:])
