"""A minute of the fuzzer from fixed seeds, and that it would find something."""

import subprocess
import sys
from pathlib import Path

import generate
import pytest
import shrink

FUZZ = Path(__file__).parent / "fuzz.py"

needs_3_11 = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the oracle knows 3.11's bytecode only"
)


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FUZZ), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@needs_3_11
@pytest.mark.parametrize("mode", [("--still",), ()])
def test_events_are_those_of_the_oracle(tmp_path: Path, mode: tuple[str, ...]) -> None:
    done = fuzz(*mode, "--first", "0", "--minutes", "0.5", "--most", "1", "--keep", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 of them with faults" in done.stdout


@needs_3_11
@pytest.mark.parametrize("event", ["LINE", "BRANCH_RIGHT", "RERAISE"])
def test_a_missing_event_is_found(tmp_path: Path, event: str) -> None:
    program = tmp_path / "program.py"
    program.write_text("try:\n    if switch(): pass\n    raise ValueError\nfinally:\n    log(1)\n")
    assert fuzz("--check", str(program)).stdout == ""
    done = fuzz("--check", str(program), "--lose", event)
    assert f"'{event}'" in done.stderr
    assert done.returncode == 1


def test_programs_are_the_same_for_the_same_seed() -> None:
    assert generate.program(7) == generate.program(7) != generate.program(8)


def test_a_faulty_program_gets_smaller() -> None:
    text = "a = 1\nif a:\n    for b in (1,\n              2):\n        c = fault(); d = 3\nelse:\n    pass\n"
    assert shrink.smaller(text, lambda each: "fault()" in each, 60) == "c = fault(); d = 3\n"
