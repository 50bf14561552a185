"""The recording callbacks, and all that a program of the corpus may use beside the standard library.

Owns the event stream of the one program that this process runs. It must never set events by itself:
who calls `set_events` has a frame in flight, and which frame that is belongs to the program.
"""

import dis
import sys
from collections.abc import Callable
from types import CodeType, FrameType, ModuleType

monitoring: ModuleType = vars(sys)["monitoring"]
events = monitoring.events

ALL = events.LINE | events.PY_START | events.PY_RETURN
"""The events of most programs."""

CALLS = events.CALL | events.C_RETURN | events.C_RAISE
"""The events of calls."""

RECORDER = 0
"""The tool whose events are written without its number: the only one of most programs."""

Reply = Callable[[str, CodeType, int], object]
"""Makes a callback's return value from the event's name, the code object and the line."""

program = ""
"""The program's file name, as its code objects have it."""

stream: list[str] = []
problems: list[str] = []
"""What no golden can show: events that do not fit the frame in which they happen."""


def note(text: str) -> None:
    """Write a remark between the events."""
    stream.append(f"-- {text}")


def write(event: str, line: int, code: CodeType, *value: object, label: str = "") -> None:
    """Write an event with its values."""
    place = "" if code.co_filename == program else " in <string>"
    rest = "".join(f" -> {_show(each)}" for each in value)
    stream.append(f"{label}{event:<9} {line:>4}  {code.co_qualname}{place}{rest}")


def record(tool: int, reply: Reply = lambda *_: None) -> None:
    """Claim the tool's id and register callbacks that write its events and then answer `reply`'s."""
    label = "" if tool == RECORDER else f"tool {tool}: "

    def note_event(event: str, code: CodeType, line: int, *value: object) -> object:
        write(event, line, code, *value, label=label)
        return reply(event, code, line)

    def on_line(code: CodeType, line: int) -> object:
        frame = sys._getframe(1)
        if not is_of_program(frame, code):
            return None
        _check("LINE", code, frame, frame.f_lineno == line)
        return note_event("LINE", code, line)

    def on_start(code: CodeType, offset: int) -> object:
        frame = sys._getframe(1)
        if not is_of_program(frame, code):
            return None
        _check("PY_START", code, frame, _is_at(frame, code, offset, "RESUME"))
        return note_event("PY_START", code, code.co_firstlineno)

    def on_return(code: CodeType, offset: int, value: object) -> object:
        frame = sys._getframe(1)
        if not is_of_program(frame, code):
            return None
        _check("PY_RETURN", code, frame, _is_at(frame, code, offset, "RETURN_VALUE", "RETURN_CONST"))
        return note_event("PY_RETURN", code, _line_at(code, offset), value)

    def calls(event: str) -> Callable[..., object]:
        def on_call(code: CodeType, offset: int, called: object, arg0: object) -> object:
            frame = sys._getframe(1)
            if not is_of_program(frame, code):
                return None
            _check(event, code, frame, _is_at(frame, code, offset, *CALLING))
            return note_event(event, code, _line_at(code, offset), _Called(called), arg0)

        return on_call

    monitoring.use_tool_id(tool, f"conformance {tool}")
    for event in ("CALL", "C_RETURN", "C_RAISE"):
        monitoring.register_callback(tool, getattr(events, event), calls(event))
    monitoring.register_callback(tool, events.LINE, on_line)
    monitoring.register_callback(tool, events.PY_START, on_start)
    monitoring.register_callback(tool, events.PY_RETURN, on_return)


CALLING = ("CALL", "CALL_KW", "CALL_FUNCTION_EX", "LOAD_SUPER_ATTR")
"""The instructions that call; the last one calls `super`."""


class _Called:
    """What is called: written by its name, as its type may depend on the version."""

    def __init__(self, called: object) -> None:
        self.name = getattr(called, "__qualname__", None) or f"<{type(called).__name__}>"


def is_of_program(frame: FrameType, code: CodeType) -> bool:
    """The program's own code, strings that it executes with it."""
    executed = code.co_filename == "<string>" and frame.f_globals.get("__name__") == "__main__"
    return executed or code.co_filename == program


def _is_at(frame: FrameType, code: CodeType, offset: int, *names: str) -> bool:
    """Whether that is where the frame is. Offsets differ between versions, so only the opcode is given."""
    return frame.f_lasti == offset and dis.opname[code.co_code[offset]] in names


def _check(event: str, code: CodeType, frame: FrameType, fits: bool) -> None:
    if not fits or frame.f_code is not code:
        problems.append(f"{event} of {code!r}: in {frame!r}, f_lasti {frame.f_lasti}")


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
