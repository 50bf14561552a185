"""What the tests of the C API share: scopes with names instead of slots, and what each function fires.

Owns the table of the functions, with what a callback is to get from each. It must import on its own,
without pytest: the run under AddressSanitizer has no more than it.
"""

from dataclasses import dataclass
from types import ModuleType
from typing import Any


class CodeLike:
    """A code object for code that is not Python's."""

    co_name = "work"
    co_qualname = "Shop.work"
    co_filename = "shop.tmpl"
    co_firstlineno = 7


@dataclass(frozen=True)
class Function:
    """One of the functions that fire."""

    name: str
    event: str
    """What a callback is registered for."""
    values: tuple[object, ...] = ()
    told: tuple[object, ...] = ()
    """What a callback gets after the code-like and the offset."""
    takes_exception: bool = False
    can_be_disabled: bool = True

    @property
    def enables(self) -> str:
        """The event to set: the end of a call is told to those who set CALL."""
        return "CALL" if self.event in ("C_RETURN", "C_RAISE") else self.event


_STOP = StopIteration(5)

FUNCTIONS = (
    Function("fire_py_start", "PY_START"),
    Function("fire_py_resume", "PY_RESUME"),
    Function("fire_py_return", "PY_RETURN", ("returned",), ("returned",)),
    Function("fire_py_yield", "PY_YIELD", ("yielded",), ("yielded",)),
    Function("fire_call", "CALL", (len, "argument"), (len, "argument")),
    Function("fire_line", "LINE", (1234,), (1234,)),
    Function("fire_jump", "JUMP", (60,), (60,)),
    Function("fire_branch", "BRANCH", (62,), (62,)),
    Function("fire_branch_left", "BRANCH_LEFT", (64,), (64,)),
    Function("fire_branch_right", "BRANCH_RIGHT", (66,), (66,)),
    Function("fire_stop_iteration", "STOP_ITERATION", (_STOP,), (_STOP,)),
    Function("fire_py_throw", "PY_THROW", takes_exception=True, can_be_disabled=False),
    Function("fire_raise", "RAISE", takes_exception=True, can_be_disabled=False),
    Function("fire_reraise", "RERAISE", takes_exception=True, can_be_disabled=False),
    Function("fire_exception_handled", "EXCEPTION_HANDLED", takes_exception=True, can_be_disabled=False),
    Function("fire_py_unwind", "PY_UNWIND", takes_exception=True, can_be_disabled=False),
    Function("fire_c_return", "C_RETURN", ("returned",), can_be_disabled=False),
    Function("fire_c_raise", "C_RAISE", takes_exception=True, can_be_disabled=False),
)


class Scope:
    """A scope of the extension module `producer`. Entered and left as a context, or by hand."""

    def __init__(self, producer: ModuleType, *events: str, code_like: object = None) -> None:
        self.producer = producer
        self.events = events
        self.code_like = CodeLike() if code_like is None else code_like
        self.capsule = producer.new_scope(bytes(producer.IDS[event] for event in events))

    def __enter__(self) -> "Scope":
        self.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def enter(self, mistake: str = "", current: BaseException | None = None) -> None:
        """Call PyMonitoring_EnterScope, with an argument spoiled or with a current exception."""
        self.producer.enter(self.capsule, mistake, self.producer.NULL if current is None else current)

    def leave(self) -> None:
        """Call PyMonitoring_ExitScope."""
        self.producer.leave()

    @property
    def active(self) -> tuple[int, ...]:
        """The byte of each state that says which tools listen."""
        return tuple(self.producer.active(self.capsule))

    @property
    def version(self) -> int:
        """What PyMonitoring_EnterScope wrote there."""
        return int(self.producer.version(self.capsule))

    def fire(self, function: Function, **changes: Any) -> None:
        """Call the function on the state of its event, as documented but for the changes."""
        null = self.producer.NULL
        current = changes.get("current", ValueError("current") if function.takes_exception else null)
        getattr(self.producer, function.name)(
            self.capsule,
            changes.get("slot", self.events.index(function.event)),
            changes.get("code_like", self.code_like),
            changes.get("offset", 8),
            null if current is None else current,
            *changes.get("values", function.values),
        )
