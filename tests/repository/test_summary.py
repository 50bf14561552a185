"""That .ci/summary counts what passed as passed, and everything else as failed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PASSED = """\
     Running unittests src/lib.rs (target/checked/deps/monitrace_core-0123)
running 3 tests
test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
   Doc-tests monitrace_core
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
"""
FAILED = """\
     Running tests/interpreter.rs (target/checked/deps/interpreter-0123)
test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
"""
CRASHED = """\
     Running tests/crash.rs (target/checked/deps/crash-0123)
running 1 test
error: test failed, to rerun pass `-p monitrace-cpython --test crash`
  process didn't exit successfully: `crash-0123` (signal: 11, SIGSEGV: invalid memory reference)
"""
PYTEST = '<testsuites><testsuite errors="{}" failures="{}" skipped="{}" tests="{}"/></testsuites>'


def report(
    folder: Path, *, cargo_test: str | None = None, pytest: str | None = None, done: bool = True
) -> Path:
    folder.mkdir(parents=True)
    if cargo_test is not None:
        (folder / "cargo-test.log").write_text(cargo_test)
    if pytest is not None:
        (folder / "pytest.xml").write_text(pytest)
    if done:
        (folder / "done").touch()
    return folder


def summary(reports: Path, *sessions: str) -> tuple[str, int]:
    """The closing line and the exit status."""
    run = subprocess.run(
        [sys.executable, ROOT / ".ci/summary", reports, *sessions],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return run.stdout.splitlines()[-1], run.returncode


def test_sums_over_sessions_and_runners(tmp_path: Path) -> None:
    report(tmp_path / "one", cargo_test=PASSED, pytest=PYTEST.format(0, 0, 1, 10))
    report(tmp_path / "two", cargo_test=PASSED)
    assert summary(tmp_path, "one", "two") == ("19 passed, 0 failed", 0)


def test_failures_and_errors_fail(tmp_path: Path) -> None:
    report(tmp_path / "one", cargo_test=PASSED + FAILED, pytest=PYTEST.format(1, 2, 0, 10), done=False)
    assert summary(tmp_path, "one") == ("16 passed, 5 failed", 1)


def test_crashed_test_program_fails(tmp_path: Path) -> None:
    report(tmp_path / "one", cargo_test=PASSED + CRASHED + PASSED, done=False)
    assert summary(tmp_path, "one") == ("10 passed, 1 failed", 1)


def test_session_that_broke_off_fails(tmp_path: Path) -> None:
    report(tmp_path / "one", cargo_test=PASSED, done=False)
    assert summary(tmp_path, "one") == ("5 passed, 1 failed", 1)


def test_session_that_did_not_run_fails(tmp_path: Path) -> None:
    report(tmp_path / "one", cargo_test=PASSED)
    assert summary(tmp_path, "one", "two") == ("5 passed, 1 failed", 1)


def test_no_test_at_all_fails(tmp_path: Path) -> None:
    report(tmp_path / "one", cargo_test="", pytest=PYTEST.format(0, 0, 3, 3))
    assert summary(tmp_path, "one") == ("0 passed, 1 failed", 1)
