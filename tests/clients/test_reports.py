"""coverage.py and hypothesis report over monitrace what they report over the interpreter's own events."""

import sys
from pathlib import Path

import pytest
import reports
from command import needs_startup_files
from ways import Way, over_monitrace, start


def expected(name: str, folder: Path) -> str:
    """The report over the interpreter's own events; before it had any, the recorder's."""
    if sys.version_info < (3, 12):
        return reports.recorded(name)
    folder /= "own"
    folder.mkdir()
    return reports.REPORTS[name](Way.OWN, folder)


@over_monitrace
@pytest.mark.parametrize("name", ["statements", "explanations"])
def test_same_report(name: str, way: Way, tmp_path: Path) -> None:
    assert reports.REPORTS[name](way, tmp_path) == expected(name, tmp_path)


@pytest.mark.skipif(sys.version_info[:2] != reports.RECORDER, reason="another version is recorded")
@pytest.mark.parametrize("name", reports.REPORTS)
def test_recorded_reports_are_up_to_date(name: str, tmp_path: Path) -> None:
    assert reports.recorded(name) == reports.REPORTS[name](Way.OWN, tmp_path)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the interpreter has a sys.monitoring of its own")
def test_without_monitrace_coverage_warns(tmp_path: Path) -> None:
    (tmp_path / "program.py").touch()
    done = start(Way.OWN, "-m", "coverage", "run", "program.py", cwd=tmp_path, COVERAGE_CORE="sysmon")
    assert "sys.monitoring isn't available" in done.stderr


@over_monitrace
def test_branches_are_those_of_coverages_tracer(way: Way, tmp_path: Path) -> None:
    folders = tmp_path / "monitoring", tmp_path / "tracer"
    for folder in folders:
        folder.mkdir()
    found = reports.coverage_report(way, folders[0], "--branch", core="sysmon", command="branches")
    assert "executed_branches" in found
    assert found == reports.coverage_report(Way.OWN, folders[1], "--branch", core="ctrace")


@needs_startup_files
@pytest.mark.xfail(
    sys.version_info < (3, 12), reason="coverage's own start-up file comes before monitrace_startup.pth"
)
def test_same_report_with_child_processes(tmp_path: Path) -> None:
    """They are started by the program, so only the variable reaches them."""
    name = reports.statements_of_children.__name__
    assert reports.REPORTS[name](Way.VARIABLE, tmp_path) == expected(name, tmp_path)
