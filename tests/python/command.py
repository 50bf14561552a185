"""Runs the command line in a process of its own, as users do."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

needs_startup_files = pytest.mark.skipif(
    not (Path(sysconfig.get_path("purelib")) / "monitrace_startup.pth").exists(),
    reason="the package is not installed in this Python's site-packages",
)


def environment(**changes: str) -> dict[str, str]:
    """Return this environment without what changes colours or start-up, and with the changes."""
    unwanted = {"NO_COLOR", "FORCE_COLOR", "MONITRACE_INSTALL"}
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {**kept, "PYTHON_COLORS": "0", **changes}


def python(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run this Python."""
    return subprocess.run(
        [sys.executable, *options, *arguments],
        cwd=cwd,
        env=environment() if env is None else env,
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        timeout=timeout,
        check=False,
    )


def monitrace(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return python("-m", "monitrace", *arguments, cwd=cwd, env=env, options=options)


def events(cwd: Path, *arguments: str, of: str = "LINE,PY_START,PY_RETURN") -> list[dict[str, Any]]:
    """Trace a program that succeeds, and return its events in order."""
    report = cwd / "events.jsonl"
    done = monitrace("trace", "-e", of, "--format", "jsonl", "-o", str(report), *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return read(report)


def read(report: Path) -> list[dict[str, Any]]:
    """Read a report in jsonl."""
    return [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
