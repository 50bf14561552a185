"""CPython 3.14's own tests of sys.monitoring pass on every version, but for the listed ones."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import build
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tools"))
from interpreters import find  # noqa: E402

VERSION = "{}.{}".format(*sys.version_info)

LISTED = tomllib.loads((HERE / "monitoring.toml").read_text())["cannot_pass"]

OF_C_CODE = "TestCApiEventGeneration."

ENOUGH = 70
"""So many of the tests that are not about C code pass on 3.11 at least."""


def own_tests() -> Path | None:
    """CPython 3.14's package `test`, if such an interpreter is here and came with it."""
    interpreter = find("3.14")
    folder = Path(interpreter.stdlib, "test") if interpreter else None
    return folder if folder and (folder / "test_monitoring.py").exists() else None


def test_own_tests_pass(tmp_path: Path) -> None:
    tests = own_tests()
    if tests is None:
        pytest.skip("there is no CPython 3.14 that came with its own tests")
    build.compile_module(build.HERE / "testcapi.c", tmp_path)
    report = tmp_path / "outcomes.json"
    done = subprocess.run(
        [sys.executable, str(HERE / "monitoring_driver.py"), str(tests), str(tmp_path), str(report)],
        # One of the tests runs a process of its own.
        env=os.environ | {"MONITRACE_INSTALL": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    outcomes: dict[str, str] = json.loads(report.read_text())
    listed = {test for group in LISTED if VERSION in group["versions"] for test in group["tests"]}
    assert listed <= outcomes.keys()
    failed = {test: outcome for test, outcome in outcomes.items() if outcome != "ok"}
    if faults := [outcome for test, outcome in failed.items() if test not in listed]:
        pytest.fail("\n\n".join(faults), pytrace=False)
    assert listed - failed.keys() == set(), "they pass: list them no more"
    assert sum(not test.startswith(OF_C_CODE) for test in outcomes.keys() - failed.keys()) >= ENOUGH


def test_no_test_is_listed_twice_for_a_version_or_without_a_reason() -> None:
    listed = [(version, test) for group in LISTED for version in group["versions"] for test in group["tests"]]
    assert len(listed) == len(set(listed))
    assert all(group["reason"].strip() for group in LISTED)
