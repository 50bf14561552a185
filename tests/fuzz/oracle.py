"""Makes the events of a program on 3.11 from the instructions that a trace function sees.

Owns the rules of every event, written down as plainly as can be from the documented ones and what
CPython 3.14 does: which instruction an event belongs to, what it carries, and the order at one
location; that of LINE stands in `lines.py` of the conformance corpus. What an instruction works on is
read from the frame's stack. It must never learn of the rewriter, and never keep what the program
drops: a frame or value that lived longer than by itself would end generators at other times.
"""

import ctypes
import dis
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import CodeType, CoroutineType, FrameType, FunctionType, GeneratorType, MethodType
from typing import Any, NoReturn

from stream import MISSING, Codes, Happening, show

sys.path.append(str(Path(__file__).parents[1] / "conformance"))
from lines import Lines

BRANCHES = frozenset(name for name in dis.opname if "JUMP" in name and "_IF_" in name) | {"FOR_ITER"}
JUMPS = frozenset({"JUMP_FORWARD", "JUMP_BACKWARD"})
ASKING = {"FOR_ITER": 1, "SEND": 2}
"""Opcodes that ask an iterator or a generator for its next value, and its place from the top of the stack."""
"""Opcodes at which a loop's iterator is on top of the stack."""
AWAITED = (GeneratorType, CoroutineType)
"""What returns its last value to `SEND` without a StopIteration."""
CLOSED = show(GeneratorExit())
ENDS = frozenset({"RETURN_VALUE", "RAISE_VARARGS", "RERAISE"})
PLAIN = frozenset({bool, bytes, dict, float, int, list, range, set, str, tuple, type(None)})
"""Types whose values can be looked at without running the program's code."""


class GivesUpError(Exception):
    """The oracle cannot tell, or the program makes too many events."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction with what the rules ask of it; positions are offsets in bytes."""

    start: int
    """Where it begins: its first `EXTENDED_ARG`, if it has one."""
    offset: int
    """Where its opcode is: what `f_lasti` is while it runs."""
    name: str
    arg: int
    target: int
    """Where it jumps to, if it may; else -1."""
    depth: int
    """How many values the stack has before it; -1 where it cannot run."""
    begins: bool
    """Whether a function begins with it."""


class Listing:
    """The instructions of a code object."""

    def __init__(self, code: CodeType) -> None:
        shown = list(dis.get_instructions(code))
        entries = dis._parse_exception_table(code)  # type: ignore[attr-defined]
        # Arguments that are cells are in both.
        self.locals = len({*code.co_varnames, *code.co_cellvars}) + len(code.co_freevars)
        self.at: dict[int, Instruction] = {}
        """By every unit: a frame that waits for a call stands at one of its caches."""
        self.lines = Lines(code)
        handlers = {
            offset: (entry.target, entry.depth + entry.lasti + 1)
            for entry in entries
            for offset in range(entry.start, entry.end, 2)
        }
        depths, warm = _depths(shown, handlers), _depths(shown, {})
        ordered: list[Instruction] = []
        start: int | None = None
        for each in shown:
            start = each.offset if start is None else start
            if each.opname == "EXTENDED_ARG":
                continue
            instruction = Instruction(
                start=start,
                offset=each.offset,
                name=each.opname,
                arg=each.arg or 0,
                target=each.argval if _jumps(each) else -1,
                depth=depths.get(each.offset, -1),
                begins=each.opname == "RESUME" and (each.arg or 0) & 3 == 0,
            )
            ordered.append(instruction)
            start = None
        ends = [*(each.start for each in ordered[1:]), len(code.co_code)]
        for instruction, end in zip(ordered, ends, strict=True):
            self.at.update(dict.fromkeys(range(instruction.start, end, 2), instruction))
        self.following = {a.offset: b for a, b in pairwise(ordered)}
        self.previous = {b.offset: a for a, b in pairwise(ordered)}
        self.leaps = {
            jump.offset
            for jump in ordered
            if jump.name == "JUMP_FORWARD"
            and jump.offset in warm
            and jump.target > self.following[jump.offset].start
            if not any(jump.offset < each.offset < jump.target and each.offset in warm for each in ordered)
        }
        """Jumps over nothing but handlers. 3.14 has these behind all other code, and nothing to jump over."""
        self.async_loops: dict[int, Instruction] = {}
        """The `SEND` of each `async for`, by the offsets of that and of its `END_ASYNC_FOR`."""
        for asking in (each for each in ordered if each.name == "GET_ANEXT"):
            send = next(each for each in ordered if each.offset > asking.offset and each.name == "SEND")
            end = next(entry.target for entry in entries if entry.start <= asking.offset < entry.end)
            if self.at[end].name == "END_ASYNC_FOR":
                self.async_loops[send.offset] = self.async_loops[self.at[end].offset] = send


def _jumps(instruction: dis.Instruction) -> bool:
    return instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs


def _depths(instructions: list[dis.Instruction], handlers: dict[int, tuple[int, int]]) -> dict[int, int]:
    """How many values the stack has before each instruction that these handlers or no exception can
    lead to. Handlers: by the offsets that they guard, where they are and how many values they have."""
    following = {a.offset: b.offset for a, b in pairwise(instructions)}
    by_offset = {each.offset: each for each in instructions}
    depths: dict[int, int] = {}
    waiting: list[tuple[int, int]] = [(0, 0)]
    while waiting:
        offset, depth = waiting.pop()
        if offset in depths:
            continue
        depths[offset] = depth
        each = by_offset[offset]
        if offset in handlers:
            waiting.append(handlers[offset])
        # What it gives is the first value sent.
        depth += each.opname == "RETURN_GENERATOR"
        arg = each.arg if each.opcode >= dis.HAVE_ARGUMENT else None
        if _jumps(each):
            waiting.append((each.argval, depth + dis.stack_effect(each.opcode, arg, jump=True)))
        leaves = each.opname in ENDS or (each.opname.startswith("JUMP_") and "_IF_" not in each.opname)
        if not leaves:
            waiting.append((following[offset], depth + dis.stack_effect(each.opcode, arg, jump=False)))
    return depths


# Where PyFrameObject has its _PyInterpreterFrame, and that its values (pycore_frame.h of 3.11).
FRAME, CODE, VALUES = 24, 32, 72


class Stack:
    """The values that a frame works on."""

    def __init__(self, frame: FrameType, listing: Listing, depth: int) -> None:
        inner = ctypes.c_void_p.from_address(id(frame) + FRAME).value or 0
        if ctypes.c_void_p.from_address(inner + CODE).value != id(frame.f_code):
            raise RuntimeError("frames are laid out in another way")
        self.end = inner + VALUES + 8 * (listing.locals + depth)

    def has(self, place: int) -> bool:
        """Whether there is an object that far from the top; the top is 1."""
        return bool(ctypes.c_void_p.from_address(self.end - 8 * place).value)

    def get(self, place: int) -> Any:
        return ctypes.py_object.from_address(self.end - 8 * place).value


def frame_of(generator: object) -> FrameType | None:
    """The frame of a generator or coroutine."""
    frame: FrameType | None = getattr(generator, "gi_frame", None) or getattr(generator, "cr_frame", None)
    return frame


@dataclass
class Progress:
    """How far a frame has come."""

    before: Instruction
    """The instruction that ran last, or that a `RERAISE` has put the frame back to."""
    is_done: bool = True
    """Whether the events of that instruction have all been."""
    raised: str = ""
    """The exception that is being raised."""
    raised_at: int = 0
    is_thrown: bool = False
    """Whether it has just been resumed by `throw`."""
    is_true: bool = False
    """What the branch that ran last is about, where both its sides lead to the same place."""
    operands: tuple[str, str] | None = None
    """What is called, if the end of the call is an event."""
    began: int = 0
    """How much had happened when that call was about to begin."""
    generators: frozenset[int] = frozenset()
    """The frames of generators among what it is given."""
    stop: str = ""
    """How the generator has ended that was asked last."""


class Oracle:
    """The trace function and the events that it has made so far."""

    def __init__(self, codes: Codes, limit: int) -> None:
        self.codes = codes
        self.limit = limit
        self.happenings: list[Happening] = []
        self.gave_up = False
        self.failure: Exception | None = None
        self.frames: dict[int, Progress] = {}
        self.listings: dict[str, Listing] = {}

    def give_up(self, why: str) -> NoReturn:
        """Stop tracing. What is raised may end the program, or not."""
        self.gave_up = True
        raise GivesUpError(why)

    def trace(self, frame: FrameType, what: str, argument: Any) -> Any:
        """The trace function, to be given to `sys.settrace`."""
        try:
            return self.look(frame, what, argument)
        except GivesUpError:
            raise
        except Exception as error:
            self.failure = error
            raise

    def look(self, frame: FrameType, what: str, argument: Any) -> Any:
        label = self.codes.get(frame.f_code)
        if label is None:
            return None
        listing = self.listings.get(label)
        if listing is None:
            listing = self.listings[label] = Listing(frame.f_code)
        step = Step(self, frame, label, listing)
        if what == "call":
            frame.f_trace_lines, frame.f_trace_opcodes = False, True
            step.enter()
        elif what == "opcode":
            step.go_on()
        elif what == "exception":
            step.fail(argument[1])
        else:
            step.leave(argument)
        return self.trace


class Step:
    """One call of the trace function."""

    def __init__(self, oracle: Oracle, frame: FrameType, label: str, listing: Listing) -> None:
        self.oracle = oracle
        self.frame = frame
        self.label = label
        self.listing = listing

    def tell(
        self,
        event: str,
        where: int,
        *values: str,
        at: int | None = None,
        place: int | None = None,
    ) -> None:
        """Add an event."""
        oracle = self.oracle
        if len(oracle.happenings) > oracle.limit:
            oracle.give_up("too many events")
        at = len(oracle.happenings) if at is None else at
        place = where if place is None else place
        happening = Happening(event, self.label, place, id(self.frame), where, values)
        oracle.happenings.insert(at, happening)

    def tell_line(self, place: int) -> None:
        self.tell("LINE", self.listing.lines.of[place] or 0, place=place)

    def stack(self, depth: int) -> Stack:
        return Stack(self.frame, self.listing, depth)

    def enter(self) -> None:
        """The frame begins or goes on."""
        here = self.listing.at[self.frame.f_lasti]
        known = self.oracle.frames.get(id(self.frame))
        if known is None or here.begins or here.name == "RETURN_GENERATOR":
            known = self.oracle.frames[id(self.frame)] = Progress(here)
        known.before, known.is_done = here, True
        if here.name == "RESUME":
            event = "PY_START" if here.begins else "PY_RESUME"
            self.tell(event, here.offset)
        else:
            known.is_thrown = True

    def go_on(self) -> None:
        """An instruction is about to run."""
        here = self.listing.at[self.frame.f_lasti]
        progress = self.oracle.frames[id(self.frame)]
        before = progress.before
        if progress.raised:
            self.tell("EXCEPTION_HANDLED", here.offset, progress.raised)
        elif not progress.is_done:
            self.finish(progress, here)
        if self.listing.lines.starts(here.start, before.start):
            self.tell_line(here.start)
        self.tell("INSTRUCTION", here.start)
        progress.before, progress.is_done = here, False
        progress.raised = progress.stop = ""
        progress.operands = None
        self.begin(progress, here)

    def finish(self, progress: Progress, here: Instruction) -> None:
        """The events of the instruction that is done."""
        before = progress.before
        if before.name in ASKING and here.start == before.target and progress.stop:
            self.tell("STOP_ITERATION", before.offset, progress.stop)
        if before.name in BRANCHES:
            is_left = here.start == self.listing.following[before.offset].start
            if before.target < before.offset:
                # From 3.12 on no branch jumps backward: one with the opposite condition has a jump behind it.
                is_left = not is_left
            elif here.start == before.target:
                is_left = is_left and progress.is_true == before.name.endswith("IF_FALSE")
            self.tell("BRANCH_LEFT" if is_left else "BRANCH_RIGHT", before.offset, str(here.start))
        elif before.name == "SEND" and here.start == before.target:
            if before.offset in self.listing.async_loops:
                self.tell("BRANCH_LEFT", before.offset, str(here.start))
        elif before.name == "END_ASYNC_FOR":
            self.tell("BRANCH_RIGHT", self.listing.async_loops[before.offset].offset, str(here.start))
        elif progress.operands:
            self.tell("C_RETURN", before.offset, *progress.operands, at=self.end_of_call(progress))

    def begin(self, progress: Progress, here: Instruction) -> None:
        """The events before an instruction."""
        stack = self.stack(here.depth)
        if here.name in BRANCHES and here.target == self.listing.following[here.offset].start:
            progress.is_true = self.truth(here, stack.get(1))
        elif here.name in JUMPS and here.offset not in self.listing.leaps:
            self.tell("JUMP", here.offset, str(here.target))
        elif here.name == "CALL":
            self.begin_call(progress, here)
        elif here.name == "CALL_FUNCTION_EX":
            self.begin_packed_call(progress, here)
        elif here.name == "RERAISE":
            self.reraise(progress, stack.get(1))
            if here.arg:
                progress.before = self.listing.at[2 * stack.get(here.arg + 1)]
        elif here.name == "END_ASYNC_FOR" and not isinstance(stack.get(1), StopAsyncIteration):
            self.reraise(progress, stack.get(1))
        elif here.name == "RAISE_VARARGS" and here.arg == 0 and (handled := sys.exception()):
            self.reraise(progress, handled)

    def truth(self, branch: Instruction, value: object) -> bool:
        if "NONE" in branch.name:
            return (value is None) != ("NOT" in branch.name)
        if type(value) not in PLAIN:
            self.oracle.give_up("only what runs no code can be asked twice")
        return bool(value)

    def begin_call(self, progress: Progress, here: Instruction) -> None:
        # What PRECALL is said to take from the stack is still there.
        stack = self.stack(here.depth + here.arg)
        # Below the arguments: a function and its first argument, or nothing and whatever is called.
        place = here.arg + 2
        is_function = stack.has(place)
        called = stack.get(place if is_function else place - 1)
        if isinstance(called, MethodType) and (not is_function or here.arg):
            # PRECALL leaves one where the `__exit__` of a `with` is called, and where a decorator is.
            arg0 = show(called.__self__)
            called = called.__func__
        elif is_function:
            arg0 = show(stack.get(place - 1))
        else:
            arg0 = show(stack.get(place - 2)) if here.arg else MISSING
        self.tell("CALL", here.offset, show(called), arg0)
        if not isinstance(called, FunctionType):
            given = (stack.get(each) for each in range(1, place) if stack.has(each))
            self.note_call(progress, (show(called), arg0), given)

    def begin_packed_call(self, progress: Progress, here: Instruction) -> None:
        stack = self.stack(here.depth)
        place = 1 + (here.arg & 1)
        called, packed = stack.get(place + 1), stack.get(place)
        if not isinstance(packed, Iterable):
            return
        if type(packed) not in PLAIN:
            self.oracle.give_up("only what runs no code can be unpacked twice")
        arg0 = next((show(each) for each in packed), MISSING)
        self.tell("CALL", here.offset, show(called), arg0)
        if not isinstance(called, FunctionType | MethodType):
            self.note_call(progress, (show(called), arg0), packed)

    def note_call(self, progress: Progress, operands: tuple[str, str], given: Iterable[object]) -> None:
        progress.operands, progress.began = operands, len(self.oracle.happenings)
        progress.generators = frozenset(id(frame_of(each)) for each in given if isinstance(each, AWAITED))

    def end_of_call(self, progress: Progress) -> int | None:
        """Where a call ended that drops what it was given: that is told of before."""
        happenings = self.oracle.happenings
        if progress.operands and progress.operands[0].endswith(".close"):
            return None  # It was not dropped.
        for at in range(progress.began, len(happenings)):
            each = happenings[at]
            if each.event == "PY_THROW" and each.frame in progress.generators and each.values == (CLOSED,):
                return at
        return None

    def reraise(self, progress: Progress, exception: BaseException) -> None:
        progress.raised, progress.raised_at = show(exception), progress.before.offset
        self.tell("RERAISE", progress.raised_at, progress.raised)

    def fail(self, exception: BaseException) -> None:
        """An exception is raised here, or comes from what is called here."""
        here = self.listing.at[self.frame.f_lasti]
        progress = self.oracle.frames[id(self.frame)]
        raised = show(exception)
        if here.name in ASKING and isinstance(exception, StopIteration):
            # It ends there. The interpreter makes none for a generator, unless it is traced.
            if not isinstance(self.stack(here.depth).get(ASKING[here.name]), AWAITED):
                self.tell("RAISE", here.offset, raised)
            return
        # Where the frame stands: that is behind the opcode, if it has waited for a function in Python.
        raised_at = self.frame.f_lasti
        if progress.is_thrown:
            at = here
            if here.name == "JUMP_BACKWARD_NO_INTERRUPT":
                # It has waited for another generator: behind its YIELD_VALUE and the RESUME.
                at = self.listing.previous[self.listing.previous[here.offset].offset]
            raised_at = at.offset
            where = self.listing.following[at.offset].offset
            self.tell("PY_THROW", where, raised)
        elif progress.operands:
            self.tell("C_RAISE", here.offset, *progress.operands, at=self.end_of_call(progress))
        self.tell("RAISE", raised_at, raised)
        if progress.is_thrown and self.listing.lines.starts_by_throwing(raised_at):
            self.tell_line(raised_at)
        progress.raised, progress.raised_at = raised, raised_at
        progress.before, progress.is_thrown = here, False

    def leave(self, value: object) -> None:
        """The frame is left, for now or for good."""
        here = self.listing.at[self.frame.f_lasti]
        progress = self.oracle.frames[id(self.frame)]
        if progress.raised:
            self.tell("PY_UNWIND", progress.raised_at, progress.raised)
        elif here.name == "YIELD_VALUE":
            self.tell("PY_YIELD", here.offset, show(value))
            progress.before, progress.is_done = here, True
            return
        else:
            self.tell("PY_RETURN", here.offset, show(value))
            self.tell_who_asked(value)
        del self.oracle.frames[id(self.frame)]

    def tell_who_asked(self, value: object) -> None:
        """Note with the frame that has asked this generator for its next value that there is none."""
        caller = self.frame.f_back
        progress = self.oracle.frames.get(id(caller)) if caller else None
        if caller is None or progress is None or progress.before.name not in ASKING:
            return
        listing = self.oracle.listings[self.oracle.codes.get(caller.f_code) or ""]
        asked = Stack(caller, listing, progress.before.depth).get(ASKING[progress.before.name])
        if isinstance(asked, AWAITED) and frame_of(asked) is self.frame:
            progress.stop = show(StopIteration() if value is None else StopIteration(value))
