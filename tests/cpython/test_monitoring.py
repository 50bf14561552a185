"""CPython 3.14's own tests of sys.monitoring pass on 3.11, but for the listed ones, and on 3.14; those about
C code on every version."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import build
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tools"))
from interpreters import find  # noqa: E402

CANNOT_PASS = tomllib.loads((HERE / "monitoring.toml").read_text())["cannot_pass"]
"""What is listed for 3.11."""

OF_C_CODE = "TestCApiEventGeneration"
"""The tests that are for every version."""

ENOUGH = 70
"""So many of the other tests pass at least."""


@pytest.fixture(scope="module")
def tests() -> Path:
    """CPython 3.14's package `test`."""
    interpreter = find("3.14")
    folder = Path(interpreter.stdlib, "test") if interpreter else None
    if folder is None or not (folder / "test_monitoring.py").exists():
        pytest.skip("there is no CPython 3.14 that came with its own tests")
    return folder


@pytest.fixture(scope="module")
def extensions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the stand-in for `_testcapi`."""
    folder = tmp_path_factory.mktemp("extensions")
    build.compile_module(build.HERE / "testcapi.c", folder)
    return folder


@pytest.fixture
def outcomes(tests: Path, extensions: Path, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Gives what comes of each test, of all or of one class."""

    def run(*chosen: str) -> dict[str, str]:
        driver, report = HERE / "monitoring_driver.py", tmp_path / "outcomes.json"
        done = subprocess.run(
            [sys.executable, *map(str, (driver, tests, extensions, report)), *chosen],
            # One of the tests runs a process of its own.
            env=os.environ | {"MONITRACE_INSTALL": "1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        found: dict[str, str] = json.loads(report.read_text())
        return found

    return run


@pytest.mark.skipif(
    sys.version_info[:2] not in ((3, 11), (3, 14)),
    reason="this interpreter makes the events by itself, as its own tests ask for",
)
def test_all_pass_but_the_listed(outcomes: Callable[..., dict[str, str]]) -> None:
    found = outcomes()
    failed = {test: outcome for test, outcome in found.items() if outcome != "ok"}
    groups = CANNOT_PASS if sys.version_info < (3, 12) else []
    listed = {test for group in groups for test in group["tests"]}
    if faults := [outcome for test, outcome in failed.items() if test not in listed]:
        pytest.fail("\n\n".join(faults), pytrace=False)
    assert listed == failed.keys(), "what passes is listed no more"
    assert sum(not test.startswith(OF_C_CODE) for test in found.keys() - failed.keys()) >= ENOUGH


def test_those_of_c_code_pass(outcomes: Callable[..., dict[str, str]]) -> None:
    assert set(outcomes(OF_C_CODE).values()) == {"ok"}


def test_what_is_listed_has_a_reason() -> None:
    assert all(group["reason"].strip() and group["tests"] for group in CANNOT_PASS)
