from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from types import ModuleType
from typing import Final, Literal, NoReturn, final

__all__ = ["EVENTS", "CodeLike", "Count", "Trace", "__version__", "install", "monitoring", "uninstall"]

__version__: Final[str]
EVENTS: Final[tuple[str, ...]]
_C_API: Final[object]
"""The table of functions behind monitrace.h, in a capsule."""

@final
class CodeLike:
    """A code object for code that is not Python's.

    ``lines``, ``positions`` and ``branches`` take what the methods ``co_lines``, ``co_positions`` and
    ``co_branches`` of a code object give, and the code-like's own methods give it back: at most one of
    ``lines`` and ``positions``, from which the other is derived. Without either the code is one unit of
    two bytes, on the first line. ``disable`` says what a callback that answers ``DISABLE`` turns off for
    its tool: the event in the producer's whole scope (``"slot"``, as in CPython), or only where it happened
    (``"offset"``), for producers that fire events of many offsets through one state.

    Raises ValueError for offsets that are odd, leave gaps or lie beyond the code, and for positions that
    cannot be; TypeError for items of another form.
    """

    def __new__(
        cls,
        name: str,
        filename: str,
        firstlineno: int = 1,
        *,
        qualname: str | None = None,
        lines: Iterable[tuple[int, int, int | None]] | None = None,
        positions: Iterable[tuple[int | None, int | None, int | None, int | None]] | None = None,
        branches: Iterable[tuple[int, int, int]] | None = None,
        disable: Literal["slot", "offset"] = "slot",
    ) -> CodeLike: ...
    @property
    def co_name(self) -> str: ...
    @property
    def co_qualname(self) -> str: ...
    @property
    def co_filename(self) -> str: ...
    @property
    def co_firstlineno(self) -> int: ...
    @property
    def co_code(self) -> bytes: ...
    def co_lines(self) -> Iterator[tuple[int, int, int | None]]: ...
    def co_positions(self) -> Iterator[tuple[int | None, int | None, int | None, int | None]]: ...
    def co_branches(self) -> Iterator[tuple[int, int, int]]: ...
    def replace(
        self,
        *,
        co_name: str | None = None,
        co_qualname: str | None = None,
        co_filename: str | None = None,
        co_firstlineno: int | None = None,
    ) -> CodeLike: ...
    def __reduce__(self) -> NoReturn: ...

@final
class Count:
    """Counts the events of this process, natively.

    Raises ValueError for an unknown event.
    """

    def __new__(cls, events: Sequence[str]) -> Count: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def counts(self) -> dict[str, int]: ...

@final
class Trace:
    """Writes the events of this process, as they happen.

    Raises ValueError for an unknown event or format and for a pattern that is no glob, OSError if
    the output cannot be opened.
    """

    def __new__(
        cls,
        events: Sequence[str],
        *,
        format: str = "text",  # noqa: A002
        output: str | PathLike[str] | None = None,
        include: Sequence[str] = ...,
        exclude: Sequence[str] = ...,
        libraries: Sequence[str] = ...,
        hidden: Sequence[str] = ...,
        directory: str = "",
        colour: bool = False,
        immediate: bool = False,
    ) -> Trace: ...
    @property
    def failed(self) -> bool: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def flush(self) -> None: ...
    def abandon(self) -> None: ...
    def finish(self) -> None: ...

def install() -> ModuleType: ...
def uninstall() -> None: ...
def monitoring() -> ModuleType: ...
