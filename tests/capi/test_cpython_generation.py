"""CPython 3.14's own tests of event generation pass on every version, through monitrace.h."""

import json
import subprocess
import sys
from pathlib import Path

import build
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from interpreters import find  # noqa: E402

TESTS = {
    "test_disable_event",
    "test_enter_scope_two_events",
    "test_fire_event",
    "test_fire_event_failing_callback",
    "test_missing_exception",
}


def own_tests() -> Path | None:
    """CPython 3.14's file of tests, if such an interpreter is here and came with them."""
    interpreter = find("3.14")
    file = Path(interpreter.stdlib, "test", "test_monitoring.py") if interpreter else None
    return file if file and file.exists() else None


def test_own_tests_pass(tmp_path: Path) -> None:
    tests = own_tests()
    if tests is None:
        pytest.skip("there is no CPython 3.14 that came with its own tests")
    testcapi = build.compile_module(build.HERE / "testcapi.c", tmp_path)
    done = subprocess.run(
        [sys.executable, str(build.HERE / "cpython_generation.py"), str(tests), str(testcapi)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == dict.fromkeys(TESTS, "ok")
