"""The recording callbacks, and all that a program of the corpus may use beside the standard library.

Owns the event stream of the one program that this process runs. It must never set events by itself:
who calls `set_events` has a frame in flight, and which frame that is belongs to the program.
"""

import dis
import sys
from collections.abc import Callable
from functools import cache
from threading import Barrier, Thread
from types import CodeType, FrameType, ModuleType

from families import FAMILIES, USUAL

monitoring: ModuleType = vars(sys)["monitoring"]
events = monitoring.events

RECORDER = 0
"""The tool whose events are written without its number: the only one of most programs."""

Reply = Callable[[str, CodeType, int], object]
"""Makes a callback's return value from the event's name, the code object and the line."""

Callback = Callable[..., object]

program = ""
"""The program's file name, as its code objects have it."""

by_offset = False
"""Whether places are written as offsets, and every INSTRUCTION: to compare streams of one bytecode."""

stream: list[str] = []
problems: list[str] = []
"""What no golden can show: events that do not fit the frame in which they happen."""


def set_of(*families: str) -> int:
    """The set of these families' events."""
    chosen = 0
    for family in families:
        for event in FAMILIES[family]:
            chosen |= getattr(events, event)
    return chosen


def set_events(chosen: int, *tools: int) -> None:
    """Set the events of several tools, with no event of the program on the way."""
    for tool in tools:
        monitoring.set_events(tool, chosen)


ALL = set_of(*USUAL)
CALLS = set_of("calls")


def note(text: str) -> None:
    """Write a remark between the events."""
    stream.append(f"-- {text}")
    _instructions.clear()


def write(event: str, line: int, code: CodeType, *value: object, label: str = "") -> None:
    """Write an event with its values.

    How many instructions a line has depends on the version: of those that follow each other in a line,
    with no other event between them, one is written.
    """
    place = "" if code.co_filename == program else " in <string>"
    rest = "".join(f" -> {_show(each)}" for each in value)
    text = f"{label}{event:<9} {line:>4}  {code.co_qualname}{place}{rest}"
    if event != "INSTRUCTION" or by_offset:
        _instructions.clear()
    elif line == 0 or _instructions.get(label) == text:
        return
    else:
        _instructions[label] = text
    stream.append(text)


_instructions: dict[str, str] = {}
"""For each tool's label, the INSTRUCTION that was written last, unless something else came after it."""


def record(tool: int, reply: Reply = lambda *_: None) -> None:
    """Claim the tool's id and register callbacks that write its events and then answer `reply`'s."""
    monitoring.use_tool_id(tool, f"conformance {tool}")
    for family in FAMILIES.values():
        for event in family:
            # Before 3.14 the interpreter by itself has no sides of branches.
            if hasattr(events, event):
                monitoring.register_callback(tool, getattr(events, event), callback(tool, event, reply))


def callback(tool: int, event: str, reply: Reply = lambda *_: None) -> Callback:
    """A callback that writes the event and then answers `reply`'s."""
    label = "" if tool == RECORDER else f"tool {tool}: "

    def on_event(code: CodeType, place: int, *arguments: object) -> object:
        frame = sys._getframe(1)
        if not is_of_program(frame, code):
            return None
        line = _line(event, frame, place)
        if frame.f_code is not code or not _fits(event, frame, place, arguments):
            problems.append(f"{event} of {code!r}: {place} {arguments} in {frame!r}, f_lasti {frame.f_lasti}")
        if event in FAMILIES["calls"]:
            called, arg0 = arguments
            arguments = _Called(called), arg0
        elif event in GOING and not by_offset:
            (destination,) = arguments
            assert isinstance(destination, int)
            arguments = (_line_at(code, destination),)
        write(event, line, code, *arguments, label=label)
        return reply(event, code, line)

    return on_event


class CallbackError(Exception):
    """Raised by callbacks."""


class Once:
    """A reply that does something at one event, and no more until it is told so again."""

    def __init__(self, act: Callable[[], object], *spared: str) -> None:
        self.act, self.spared = act, spared
        self.event = ""

    def __call__(self, event: str, code: CodeType, _line: int) -> object:
        if event != self.event or code.co_name in self.spared:
            return None
        self.event = ""
        return self.act()


def fail() -> None:
    """Raise what callbacks raise."""
    raise CallbackError


def pause(barrier: Barrier) -> None:
    """Wait while another thread does something, with no event of the program on the way."""
    barrier.wait()
    barrier.wait()


def let_go_on(barrier: Barrier, thread: Thread) -> None:
    """End the thread's pause, and wait for its end."""
    barrier.wait()
    thread.join()


CALLING = ("CALL", "CALL_KW", "CALL_FUNCTION_EX", "LOAD_SUPER_ATTR")
"""The instructions that call; the last one calls `super`."""

SIDES = {"BRANCH_LEFT": (1,), "BRANCH_RIGHT": (2,), "BRANCH": (1, 2)}
"""Where in an entry of `co_branches()` the destinations of a branch are."""

GOING = ("JUMP", *SIDES)
"""The events whose last argument is an offset, written as its line."""

BESIDE = ("RAISE", "PY_UNWIND")
"""Events whose offset CPython gives as one unit before its next instruction, which can be of a cache or of
another instruction: they are written with the line where the frame is."""

ELSEWHERE = ("RERAISE", "STOP_ITERATION", "PY_THROW")
"""Events at which the frame can be elsewhere: a RERAISE may have put it back to where the exception came
from, a StopIteration is made behind its loop, and a throw has not reached the RESUME where it is told."""

LATE = {"JUMP": (3, 12), "PY_YIELD": (3, 13)}
"""Events that one version tells of when the frame has gone on."""

PLACES = {
    "PY_START": ("RESUME",),
    "PY_RESUME": ("RESUME",),
    "PY_THROW": ("RESUME", "POP_TOP", "YIELD_VALUE", "RETURN_GENERATOR"),
    "PY_RETURN": ("RETURN_VALUE", "RETURN_CONST"),
    "PY_YIELD": ("YIELD_VALUE",),
    "CALL": CALLING,
    "C_RETURN": CALLING,
    "C_RAISE": CALLING,
    "RERAISE": ("RERAISE", "RAISE_VARARGS", "END_ASYNC_FOR", "CLEANUP_THROW"),
}
"""The instructions at which an event happens, where these have the same names on every version."""


class _Called:
    """What is called: written by its name, as its type may depend on the version."""

    def __init__(self, called: object) -> None:
        self.name = getattr(called, "__qualname__", None) or f"<{type(called).__name__}>"


def is_of_program(frame: FrameType, code: CodeType) -> bool:
    """The program's own code, strings that it executes with it."""
    executed = code.co_filename == "<string>" and frame.f_globals.get("__name__") == "__main__"
    return executed or code.co_filename == program


def _line(event: str, frame: FrameType, place: int) -> int:
    """The line that is written for an event; 0 if there is none."""
    if by_offset and event in BESIDE and dis.opname[frame.f_code.co_code[place]] == "PRECALL":
        # One that is specialised makes the call by itself, which a trace function never sees.
        return place + 4
    if event == "LINE" or by_offset:
        return place
    if event == "PY_START":
        return frame.f_code.co_firstlineno
    return (frame.f_lineno or 0) if event in BESIDE else _line_at(frame.f_code, place)


def _fits(event: str, frame: FrameType, place: int, arguments: tuple[object, ...]) -> bool:
    """Whether the frame is where the event is said to happen. Offsets differ between versions, and so
    they are in no golden."""
    code = frame.f_code
    if event == "LINE":
        return frame.f_lineno == place
    if event in BESIDE and sys.version_info >= (3, 12):
        # 3.12 and 3.13 do not know where they are after a branch whose callback raised.
        return sys.version_info < (3, 14) or 0 <= place < len(code.co_code)
    again = dis.opname[code.co_code[place]] == "RERAISE"
    if event in BESIDE:
        return frame.f_lasti == place or (event == "PY_UNWIND" and again)
    if place not in _offsets(code):
        return False
    if event == "EXCEPTION_HANDLED":
        # The frame is still where the exception came from.
        return place in _handlers(code)
    if event in SIDES:
        # On 3.14 some are told by the instruction that comes next, and the frame is there.
        return _is_branch(event, code, place, arguments[0])
    if event == "JUMP" and arguments[0] not in _offsets(code):
        return False
    if event in PLACES and dis.opname[code.co_code[place]] not in PLACES[event]:
        return False
    return event in ELSEWHERE or LATE.get(event) == sys.version_info[:2] or frame.f_lasti == place


def _is_branch(event: str, code: CodeType, place: int, destination: object) -> bool:
    if not hasattr(code, "co_branches"):
        return destination in _offsets(code)
    return any(
        branch[0] == place and destination in [branch[side] for side in SIDES[event]]
        for branch in code.co_branches()
    )


@cache
def _offsets(code: CodeType) -> frozenset[int]:
    """Where the code's instructions are."""
    return frozenset(each.offset for each in dis.get_instructions(code))


@cache
def _handlers(code: CodeType) -> frozenset[int]:
    """Where the code's exception handlers begin."""
    return frozenset(each.target for each in dis._parse_exception_table(code))  # type: ignore[attr-defined]


def _line_at(code: CodeType, offset: int) -> int:
    """The line of the instruction there; 0 if it has none."""
    return next(line or 0 for start, end, line in code.co_lines() if start <= offset < end)


def _show(value: object) -> str:
    """The repr of plain values; of others the type, as their repr is an address or depends on the version."""
    if value is monitoring.MISSING:
        return "MISSING"
    if isinstance(value, _Called):
        return value.name
    if type(value) is tuple:
        return f"({', '.join(map(_show, value))})"
    if type(value) is list:
        return f"[{', '.join(map(_show, value))}]"
    plain = value is None or type(value) in (bool, int, float, str, bytes)
    return repr(value) if plain else f"<{type(value).__name__}>"
