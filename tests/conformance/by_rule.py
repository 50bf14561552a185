"""Makes a program's event stream on 3.11 a second way: from the instructions that a trace function sees.

Owns CPython's rules for events, written down once more and as plainly as can be. LINE: an instruction may
start a line if the one in front of it has another line, or if something can jump to it; it fires if what ran
before it in its frame was on another line, or was the RESUME at which its function begins. Which exception
it is, the rules do not say. It must never learn of the rewriter.
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
from families import FAMILIES

JUMPS = ("JUMP_FORWARD", "JUMP_BACKWARD")
"""Opcodes that jump, whatever there is."""

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
        self.targets = {
            each.offset: each.argval
            for each in instructions
            if each.opname in JUMPS or "_IF_" in each.opname or each.opname == "FOR_ITER"
        }
        """Where jumps and branches go."""
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
    raised: type[BaseException] | None = None
    """What was raised here last."""
    unwinds: bool = False
    """Whether nothing handles it."""


frames: dict[FrameType, Progress] = {}
recorded: set[str] = set()


def write(event: str, frame: FrameType, offset: int, *values: object) -> None:
    """Write an event of the instruction there, if it is to be recorded."""
    if event in recorded:
        code = frame.f_code
        line = code.co_firstlineno if event == "PY_START" else listing(code).lines[offset] or 0
        harness.write(event, line, code, *values)


def trace(frame: FrameType, what: str, argument: Any) -> Any:
    """The trace function."""
    code = frame.f_code
    if what == "call" and not harness.is_of_program(frame, code):
        return None
    known, here = listing(code), frame.f_lasti
    if what == "call":
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        if known.names.get(here) != "RESUME":
            write("PY_THROW", frame, here)
        else:
            write("PY_RESUME" if known.args[here] else "PY_START", frame, here)
        frames.setdefault(frame, Progress(here)).before = here
        return trace
    progress = frames[frame]
    if what == "opcode":
        before, progress.before = progress.before, here
        write_branch(frame, before, here)
        handler = known.handlers.get(before)
        if known.names.get(before) == "RERAISE" and known.args[before]:
            before = progress.lasti[known.depths[before] - 1 - known.args[before]]
        if handler and handler.target == here and handler.pushes_lasti:
            progress.lasti[handler.depth] = before
        line = known.lines[here]
        begins = known.names.get(before) == "RESUME" and known.args[before] == 0
        if here in known.starts and (begins or line != known.lines[before]):
            write("LINE", frame, here)
        write("INSTRUCTION", frame, here)
        if known.names[here] in JUMPS:
            write("JUMP", frame, here, known.lines[known.targets[here]])
        elif raises_again(known.names[here], known.args[here], progress):
            write("RERAISE", frame, here)
            unwind(frame, progress, here)
    elif what == "exception":
        progress.before, progress.raised = here, argument[0]
        write("RAISE", frame, here)
        # A loop and an await swallow the end of what they go through.
        if known.names.get(here) not in ("FOR_ITER", "SEND") or not issubclass(argument[0], StopIteration):
            unwind(frame, progress, here)
    elif progress.unwinds:
        write("PY_UNWIND", frame, here)
    elif known.names[here] == "YIELD_VALUE":
        write("PY_YIELD", frame, here, argument)
    else:
        write("PY_RETURN", frame, here, argument)
    return trace


def write_branch(frame: FrameType, before: int, here: int) -> None:
    """Write which side was taken, if what ran before is a branch."""
    known = listing(frame.f_code)
    if before in known.targets and known.names[before] not in JUMPS:
        side = "BRANCH_RIGHT" if here == known.targets[before] else "BRANCH_LEFT"
        write(side, frame, before, known.lines[here] or 0)


def raises_again(name: str, argument: int, progress: Progress) -> bool:
    """Whether an instruction raises what was raised before."""
    if name == "END_ASYNC_FOR":
        return progress.raised is not StopAsyncIteration
    return name == "RERAISE" or (name == "RAISE_VARARGS" and argument == 0 and sys.exc_info()[0] is not None)


def unwind(frame: FrameType, progress: Progress, here: int) -> None:
    """Go to the handler of an exception, if there is one."""
    handler = listing(frame.f_code).handlers.get(here)
    progress.unwinds = handler is None
    if handler:
        write("EXCEPTION_HANDLED", frame, handler.target)


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
