"""Turns monitrace on at the start of a virtual environment's Python, and off again.

Owns the files ``monitrace_enabled.*`` in the environment's site-packages, and no other. They are
no part of the package, so they must do nothing once that is gone. (``monitrace_startup.*``, which
looks at ``MONITRACE_INSTALL``, comes and goes with the package.)
"""

import os
import sys
import sysconfig

from monitrace import __version__

# .start is what 3.15 reads in the place of a .pth of the same name; it can only name a function,
# which therefore needs a module that stays when the package goes.
_FILES = {
    "monitrace_enabled.py": '''\
"""Written by `monitrace enable`; `monitrace disable` removes it."""


def start():
    try:
        import monitrace
    except ModuleNotFoundError as error:
        if error.name != "monitrace":
            raise
    else:
        # Of an uninstalled package an empty folder may remain, which can be imported too.
        getattr(monitrace, "install", lambda: None)()
''',
    "monitrace_enabled.pth": "import monitrace_enabled; monitrace_enabled.start()\n",
    "monitrace_enabled.start": "monitrace_enabled:start\n",
}


class NoEnvironmentError(Exception):
    """This Python is not that of a virtual environment."""


def enable() -> str:
    """Write the files and tell so.

    Raises NoEnvironmentError outside of a virtual environment, OSError if they cannot be written.
    """
    for path, text in _paths().items():
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    return f"monitrace is enabled in {sys.prefix}"


def disable() -> str:
    """Remove the files, if they are there, and tell so.

    Raises NoEnvironmentError outside of a virtual environment, OSError if they cannot be removed.
    """
    # What starts the module goes before it.
    for path in reversed(_paths()):
        if os.path.exists(path):
            os.remove(path)
    return f"monitrace is disabled in {sys.prefix}"


def status() -> str:
    """Tell whether monitrace starts with this Python, and by what."""
    causes = []
    if _is_virtual() and all(os.path.exists(path) for path in _paths()):
        causes.append("monitrace enable")
    if os.environ.get("MONITRACE_INSTALL") == "1":
        causes.append("MONITRACE_INSTALL=1")
    return "\n".join(
        (
            f"monitrace {__version__} on Python {sys.version.split()[0]}",
            f"{'virtual environment' if _is_virtual() else 'no virtual environment'}: {sys.prefix}",
            f"installed at start-up: {'yes, by ' + ' and '.join(causes) if causes else 'no'}",
        )
    )


def _is_virtual() -> bool:
    return sys.prefix != sys.base_prefix


def _paths() -> dict[str, str]:
    """The path and text of each file, the module first: the others need it."""
    if not _is_virtual():
        raise NoEnvironmentError(f"{sys.prefix} is no virtual environment")
    folder = sysconfig.get_path("purelib")
    return {os.path.join(folder, name): text for name, text in _FILES.items()}
