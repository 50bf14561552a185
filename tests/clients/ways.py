"""Starts a client of `sys.monitoring` over monitrace, in each way that leaves client and program alone."""

import subprocess
from enum import Enum
from pathlib import Path

import pytest
from command import environment, needs_startup_files, python


class Way(Enum):
    """How the client comes by its `sys.monitoring`."""

    OWN = "the interpreter's own"
    RUN = "monitrace run"
    VARIABLE = "MONITRACE_INSTALL=1"


over_monitrace = pytest.mark.parametrize(
    "way",
    [
        pytest.param(Way.RUN, id="run"),
        pytest.param(Way.VARIABLE, id="variable", marks=needs_startup_files),
    ],
)


def start(way: Way, *arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run what `python ARGUMENTS` would. A warning is an error."""
    if way is Way.RUN:
        arguments = ("-m", "monitrace", "run", *arguments)
    elif way is Way.VARIABLE:
        variables["MONITRACE_INSTALL"] = "1"
    return python(*arguments, cwd=cwd, env=environment(**variables), options=("-W", "error"), timeout=300)
