"""Makes a program's event stream on 3.11 a second way: from the instructions that a trace function sees.

Owns CPython's rules for events, written down once more and as plainly as can be; that of LINE stands in
`lines.py`. Which exception it is, the rules do not say. Places are offsets. It must never learn of the
rewriter.
"""

import dis
import sys
import threading
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import CodeType, FrameType
from typing import Any

import harness
from families import FAMILIES
from lines import Lines

JUMPS = ("JUMP_FORWARD", "JUMP_BACKWARD")
"""Opcodes that jump, whatever there is."""


@dataclass
class Handler:
    """An entry of the exception table."""

    target: int
    depth: int
    pushes_lasti: bool


class Listing:
    """What the rule needs to know of a code object; all positions are byte offsets."""

    def __init__(self, code: CodeType) -> None:
        instructions = list(dis.get_instructions(code))
        self.names = {each.offset: each.opname for each in instructions}
        self.args = {each.offset: each.arg or 0 for each in instructions}
        self.targets = {
            each.offset: each.argval
            for each in instructions
            if each.opname in JUMPS or "_IF_" in each.opname or each.opname == "FOR_ITER"
        }
        """Where jumps and branches go."""
        self.lines = Lines(code)
        self.handlers: dict[int, Handler] = {}
        for entry in dis._parse_exception_table(code):  # type: ignore[attr-defined]
            for offset in range(entry.start, entry.end, 2):
                self.handlers[offset] = Handler(entry.target, entry.depth, entry.lasti)
        self.awaited = {
            each.offset: each.argval
            for each in instructions
            if each.opname == "SEND" and self.names.get(self._handler_of(each.offset)) == "END_ASYNC_FOR"
        }
        """Where the awaits of `async for` go with what they bring."""
        self.ends = {self._handler_of(send): send for send in self.awaited}
        """The await of the loop that each END_ASYNC_FOR ends."""
        self.depths = _depths(instructions, self.handlers)
        reached = _depths(instructions, {}).keys()
        self.leaps = {
            source
            for source, target in self.targets.items()
            if source in reached and source + 2 < target and reached.isdisjoint(range(source + 2, target))
        }
        """The jumps over nothing but handlers: 3.14 has these behind all other code, and no such jumps."""

    def waits_at(self, offset: int) -> int:
        """The YIELD_VALUE of a generator that stands there when something is thrown into it. One that waits
        for another is put behind its RESUME when that one has raised. Every other offset stays as it is."""
        return offset - 4 if self.names.get(offset) == "JUMP_BACKWARD_NO_INTERRUPT" else offset

    def _handler_of(self, offset: int) -> int:
        """Where the handler of an instruction begins; -1 without one."""
        return self.handlers[offset].target if offset in self.handlers else -1


def _depths(instructions: list[dis.Instruction], handlers: dict[int, Handler]) -> dict[int, int]:
    """How many values the stack has before each instruction, found by walking all ways."""
    following = {a.offset: b.offset for a, b in pairwise(instructions)}
    by_offset = {each.offset: each for each in instructions}
    depths: dict[int, int] = {}
    waiting = [(0, 0)]
    while waiting:
        offset, depth = waiting.pop()
        if offset in depths:
            continue
        depths[offset] = depth
        each = by_offset[offset]
        if offset in handlers:
            handler = handlers[offset]
            waiting.append((handler.target, handler.depth + handler.pushes_lasti + 1))
        jumps = each.opcode in dis.hasjrel or each.opcode in dis.hasjabs
        arg = each.arg if each.opcode >= dis.HAVE_ARGUMENT else None
        if jumps:
            waiting.append((each.argval, depth + dis.stack_effect(each.opcode, arg, jump=True)))
        leaves = each.opname in ("RETURN_VALUE", "RAISE_VARARGS", "RERAISE") or (
            each.opname.startswith("JUMP_") and "_IF_" not in each.opname
        )
        if not leaves:
            waiting.append((following[offset], depth + dis.stack_effect(each.opcode, arg, jump=False)))
    return depths


listing = cache(Listing)


recorded: set[str] = set()


def write(event: str, frame: FrameType, offset: int, *values: object) -> None:
    """Write an event of the instruction there, if it is to be recorded."""
    if event in recorded:
        place = listing(frame.f_code).lines.of[offset] or 0 if event == "LINE" else offset
        harness.write(event, place, frame.f_code, *values)


class Progress:
    """How far a frame has come: its trace function, which nothing but the frame keeps."""

    def __init__(self, frame: FrameType) -> None:
        self.known = listing(frame.f_code)
        self.before = frame.f_lasti
        """The instruction that ran last."""
        self.lasti: dict[int, int] = {}
        """For each depth of the stack, the instruction that a handler put there for RERAISE."""
        self.raised: type[BaseException] | None = None
        """What was raised here last."""
        self.unwinds: int | None = None
        """The instruction that raised what nothing handles."""
        self.is_given = False
        """Whether an asynchronous generator has given the item that is awaited."""

    def __call__(self, frame: FrameType, what: str, argument: Any) -> Any:
        here = frame.f_lasti
        if what == "opcode":
            self.instruction(frame, here)
        elif what == "exception":
            self.exception(frame, here, argument[0])
        elif self.unwinds is not None:
            write("PY_UNWIND", frame, self.unwinds)
        else:
            asking = frame.f_back and frame.f_back.f_trace
            if isinstance(asking, Progress):
                asking.is_given = type(argument).__name__ == "async_generator_wrapped_value"
            ends = self.known.names[here] == "RETURN_VALUE"
            write("PY_RETURN" if ends else "PY_YIELD", frame, here, argument)
        return self

    def enter(self, frame: FrameType) -> None:
        """The frame starts, or goes on after a yield."""
        self.before = here = frame.f_lasti
        if self.known.names.get(here) != "RESUME":
            # It is told where the frame would have gone on.
            write("PY_THROW", frame, self.known.waits_at(here) + 2)
        else:
            write("PY_RESUME" if self.known.args[here] else "PY_START", frame, here)

    def instruction(self, frame: FrameType, here: int) -> None:
        """An instruction is about to run."""
        known, before, self.before = self.known, self.before, here
        name = known.names[here]
        if before in known.targets and known.names[before] not in JUMPS:
            # From 3.12 on no branch jumps backward: one with the opposite condition has a jump behind it.
            is_left = (here == known.targets[before]) == (known.targets[before] < before)
            side = "BRANCH_LEFT" if is_left else "BRANCH_RIGHT"
            write(side, frame, before, here)
        elif here == known.awaited.get(before):
            write("BRANCH_LEFT", frame, before, here)
        elif known.names.get(before) == "END_ASYNC_FOR":
            write("BRANCH_RIGHT", frame, known.ends[before], here)
        handler = known.handlers.get(before)
        if known.names.get(before) == "RERAISE" and known.args[before]:
            before = self.lasti[known.depths[before] - 1 - known.args[before]]
        if handler and handler.target == here and handler.pushes_lasti:
            self.lasti[handler.depth] = before
        if known.lines.starts(here, before):
            write("LINE", frame, here)
        write("INSTRUCTION", frame, here)
        if name in JUMPS and here not in known.leaps:
            write("JUMP", frame, here, known.targets[here])
        elif name == "RERAISE" or (
            (name == "END_ASYNC_FOR" and self.raised is not StopAsyncIteration)
            or (name == "RAISE_VARARGS" and known.args[here] == 0 and sys.exc_info()[0])
        ):
            write("RERAISE", frame, here)
            self.unwind(frame, here)

    def exception(self, frame: FrameType, here: int, kind: type[BaseException]) -> None:
        """An exception was raised, here or in what was called."""
        self.before, self.raised = here, kind
        name = self.known.names.get(here)
        swallowed = name in ("FOR_ITER", "SEND") and issubclass(kind, StopIteration)
        # A SEND makes one for the trace function only, unless it got an asynchronous generator's item.
        if not (swallowed and name == "SEND") or (self.is_given and here in self.known.awaited):
            waits = self.known.waits_at(here)
            write("RAISE", frame, waits)
            if self.known.lines.starts_by_throwing(waits):
                write("LINE", frame, waits)
        self.is_given = False
        if not swallowed:
            self.unwind(frame, here)

    def unwind(self, frame: FrameType, here: int) -> None:
        """Go to the handler of an exception, if there is one."""
        handler = self.known.handlers.get(here)
        self.unwinds = None if handler else self.known.waits_at(here)
        if handler:
            write("EXCEPTION_HANDLED", frame, handler.target)


def trace(frame: FrameType, _what: str, _argument: Any) -> Any:
    """The trace function of all threads."""
    if not harness.is_of_program(frame, frame.f_code):
        return None
    frame.f_trace_lines, frame.f_trace_opcodes = False, True
    progress = frame.f_trace if isinstance(frame.f_trace, Progress) else Progress(frame)
    progress.enter(frame)
    return progress


def run(code: CodeType, namespace: dict[str, object], families: tuple[str, ...]) -> None:
    """Run a program's code with the trace function on."""
    recorded.update(event for family in families for event in FAMILIES[family])
    threading.settrace(trace)
    sys.settrace(trace)
    try:
        exec(code, namespace)
    finally:
        sys.settrace(None)
        threading.settrace(None)
