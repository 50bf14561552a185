"""3.14's debugger over `sys.monitoring` stops where it stops over the interpreter's own events."""

import shutil
import subprocess
import sys
from pathlib import Path

import debugger
import pytest
import reports
from command import environment
from ways import Way, over_monitrace, start

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from interpreters import find

PROGRAM = "steps.py"
ASKS = "asks.py"


def command(habit: str) -> tuple[str, ...]:
    return ("debugger.py", habit, ASKS if habit == debugger.asked.__name__ else PROGRAM)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where debugger and programs are."""
    for file in (reports.HERE / "debugger.py", *(reports.PROGRAMS / name for name in (PROGRAM, ASKS))):
        shutil.copy(file, tmp_path)
    return tmp_path


def stops_of_3_14(habit: str, folder: Path) -> tuple[str, Path]:
    """Where 3.14 stops, and the folder of its bdb.py."""
    oracle = find("3.14")
    if oracle is None:
        pytest.skip("CPython 3.14 is not found: it has the debugger, and says where that stops")
    done = subprocess.run(
        [oracle.executable, *command(habit)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    only = folder / "debugger"
    only.mkdir()
    shutil.copy(Path(oracle.stdlib, "bdb.py"), only)
    return done.stdout, only


@pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 14),
    reason="the interpreter makes the events itself, and others than 3.14 where something is thrown",
)
@over_monitrace
@pytest.mark.parametrize("habit", debugger.HABITS)
def test_same_stops(habit: str, way: Way, folder: Path) -> None:
    variables = {}
    if sys.version_info < (3, 14):
        expected, bdb = stops_of_3_14(habit, folder)
        variables["PYTHONPATH"] = str(bdb)
    else:
        expected = start(Way.OWN, *command(habit), cwd=folder).stdout
    done = start(way, *command(habit), cwd=folder, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == expected.splitlines()
    assert len(done.stdout.splitlines()) > 10
