"""Python's execution monitoring system, ``sys.monitoring``, on every CPython from 3.11.

Importing this changes nothing in the interpreter: `install` does.
"""

import os
from types import ModuleType

from monitrace import _native
from monitrace._native import CodeLike, __version__

__all__ = ["CodeLike", "__version__", "get_include", "install", "monitoring", "uninstall"]

monitoring: ModuleType


def install() -> ModuleType:
    """Make ``sys.monitoring`` complete in this process and return it.

    On Python 3.11, which has none, it is set. On 3.12 and later it is the interpreter's own, with
    ``set_local_events`` and ``get_local_events`` that take code-likes too: objects with
    ``co_name``, ``co_filename`` and ``co_firstlineno`` for which C code fires events. On 3.12 and 3.13
    it gains ``BRANCH_LEFT``, ``BRANCH_RIGHT`` and ``clear_tool_id``, ``free_tool_id`` clears, and code
    objects gain ``co_branches``, as on 3.14. Calling this twice is the same as once.

    Raises ImportError, with the reason, in an interpreter that monitrace was not made for.
    """
    return _native.install()


def uninstall() -> None:
    """Put back what `install` changed, as far as the interpreter allows.

    Raises RuntimeError naming what is in the way, such as tools that are in use.
    """
    _native.uninstall()


def get_include() -> str:
    """The folder of ``monitrace.h``, the Monitoring C API for Python 3.11 to 3.15.

    For a compiler's ``-I``. Nothing has to be linked.
    """
    return os.path.join(os.path.dirname(__file__), "include")


def __getattr__(name: str) -> ModuleType:
    # Looked up each time: it is another module before `install` than after.
    if name == "monitoring":
        return _native.monitoring()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
