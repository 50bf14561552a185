"""What streams are made of: code objects by labels, values as text, events.

Owns the form in which the events of two runs are compared. It must never keep a value of the program.
"""

import re
from dataclasses import dataclass
from types import CodeType
from typing import TypeAlias

EVENTS = (
    *("PY_START", "PY_RESUME", "PY_RETURN", "PY_YIELD", "CALL", "LINE", "INSTRUCTION"),
    *("JUMP", "BRANCH_LEFT", "BRANCH_RIGHT", "STOP_ITERATION"),
    *("RAISE", "EXCEPTION_HANDLED", "PY_UNWIND", "PY_THROW", "RERAISE"),
    *("C_RETURN", "C_RAISE"),
)
"""The names of all events; `BRANCH` is two of them."""

Told: TypeAlias = tuple[int | str, ...]
"""What a tool is told: its id, the event's name, the code object's label, the callback's other arguments."""

MISSING = "MISSING"
"""What stands for the first argument of a call that has none."""


ADDRESS = re.compile(" at 0x[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Happening:
    """An event, whoever is told of it."""

    event: str
    label: str
    place: int
    """The offset at which it can be disabled."""
    frame: int
    """Where it happens, as long as that lasts."""
    where: int
    """The line, for `LINE`; else the offset."""
    values: tuple[str, ...]
    """What else a callback is given."""


class Codes:
    """The code objects of one program, each with a label of its own."""

    def __init__(self, module: CodeType) -> None:
        self.all: dict[str, CodeType] = {}
        # By identity: equal code objects may be two.
        self._labels: dict[int, str] = {}
        self._add(module)

    def _add(self, code: CodeType) -> None:
        label = f"{code.co_qualname}:{code.co_firstlineno}"
        while label in self.all:
            label += "'"
        self.all[label] = code
        self._labels[id(code)] = label
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._add(constant)

    def get(self, code: CodeType) -> str | None:
        """Its label, if it is the program's."""
        return self._labels.get(id(code))


def show(value: object) -> str:
    """Plain values and exceptions as they print, of others what neither changes nor depends on the run."""
    if value is None or type(value) in (bool, int, float, str, bytes):
        return ADDRESS.sub("", repr(value))
    if type(value) is tuple:
        return f"({', '.join(map(show, value))})"
    if isinstance(value, BaseException):
        return f"{type(value).__name__}({', '.join(map(show, value.args))})"
    name = getattr(value, "__qualname__", None)
    return name if isinstance(name, str) else f"<{type(value).__name__}>"
