"""Makes a program's event stream on 3.11 a second way: from the instructions that a trace function sees.

Owns CPython's rule for LINE, written down once more and as plainly as can be: an instruction may start a
line if the one in front of it has another line, or if something can jump to it; it fires if what ran
before it in its frame was on another line, or was the RESUME at which its function begins. It must
never learn of the rewriter.
"""

import dis
import sys
import threading
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from types import CodeType, FrameType
from typing import Any

import harness

NEVER_A_LINE = ("RESUME", "END_ASYNC_FOR")
"""Opcodes that 3.14 lets start no line, as far as 3.11 has them."""


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
        self.lines = {unit: line for start, end, line in code.co_lines() for unit in range(start, end, 2)}
        self.handlers: dict[int, Handler] = {}
        for entry in dis._parse_exception_table(code):  # type: ignore[attr-defined]
            for offset in range(entry.start, entry.end, 2):
                self.handlers[offset] = Handler(entry.target, entry.depth, entry.lasti)
        handled = {handler.target for handler in self.handlers.values()}
        self.starts = set()
        line_before = None
        begin = next((each.offset for each in instructions if each.opname == "RESUME"), 0)
        for each in instructions:
            line = self.lines[each.offset]
            if each.offset > begin and each.opname not in NEVER_A_LINE:
                if line is not None and (
                    line != line_before or each.is_jump_target or each.offset in handled
                ):
                    self.starts.add(each.offset)
                line_before = line
        self.depths = _depths(instructions, self.handlers)


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


@dataclass
class Progress:
    """How far a frame has come."""

    before: int
    """The instruction that ran last."""
    lasti: dict[int, int] = field(default_factory=dict)
    """For each depth of the stack, the instruction that a handler put there for RERAISE."""


frames: dict[FrameType, Progress] = {}


def trace(frame: FrameType, what: str, argument: Any) -> Any:
    """The trace function."""
    code = frame.f_code
    if what == "call" and not harness.is_of_program(frame, code):
        return None
    known, here = listing(code), frame.f_lasti
    if what == "call":
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        if known.names[here] == "RESUME" and known.args[here] == 0:
            harness.write("PY_START", code.co_firstlineno, code)
        frames.setdefault(frame, Progress(here)).before = here
    elif what == "opcode":
        progress = frames[frame]
        before = progress.before
        handler = known.handlers.get(before)
        if known.names[before] == "RERAISE" and known.args[before]:
            before = progress.lasti[known.depths[before] - 1 - known.args[before]]
        if handler and handler.target == here and handler.pushes_lasti:
            progress.lasti[handler.depth] = before
        line = known.lines[here]
        begins = known.names[before] == "RESUME" and known.args[before] == 0
        if here in known.starts and (begins or line != known.lines[before]):
            harness.write("LINE", line or 0, code)
        progress.before = here
    elif what == "return" and known.names.get(here) == "RETURN_VALUE":
        harness.write("PY_RETURN", known.lines[here] or 0, code, argument)
    return trace


def run(code: CodeType, namespace: dict[str, object]) -> None:
    """Run a program's code with the trace function on."""
    threading.settrace(trace)
    sys.settrace(trace)
    try:
        exec(code, namespace)
    finally:
        sys.settrace(None)
        threading.settrace(None)
