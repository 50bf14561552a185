"""That every example runs, plainly and with its events traced, and does the same both times."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples/python").glob("*.py"))


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_runs(example: Path) -> None:
    plain = run("-W", "error", example)
    assert (plain.returncode, plain.stderr) == (0, "")
    traced = run("-W", "error", "-m", "monitrace", "trace", example)
    assert (traced.returncode, traced.stdout) == (0, plain.stdout), traced.stderr
    assert traced.stderr, "a trace has events"
