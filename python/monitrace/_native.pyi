from collections.abc import Sequence
from os import PathLike
from types import ModuleType
from typing import Final, final

__all__ = ["EVENTS", "Trace", "__version__", "install", "monitoring", "uninstall"]

__version__: Final[str]
EVENTS: Final[tuple[str, ...]]
_C_API: Final[object]
"""The table of functions behind monitrace.h, in a capsule."""

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
