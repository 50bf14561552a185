"""What clients report of the programs. Run by 3.13, it records that.

Owns what a report keeps. It must never judge one, nor change it to suit a version.
"""

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
RECORDED = HERE / "recorded"
RECORDER = (3, 13)
"""The Python whose own events are recorded. From 3.14 on annotations are other code, with other lines."""

if __name__ == "__main__":
    sys.path.append(str(HERE.parent / "python"))

from command import environment, python  # noqa: E402
from ways import Way, start  # noqa: E402

KINDS = ("executed_lines", "missing_lines", "executed_branches", "missing_branches")
"""What a report of coverage.py is kept of."""

CHILDREN = "[run]\npatch = subprocess\n"
"""coverage.py's configuration for measuring the processes that a program starts."""


def coverage_report(way: Way, folder: Path, *options: str, core: str, command: str = "coverage") -> str:
    """The report on the shop, below what the shop printed."""
    shutil.copytree(PROGRAMS / "shop", folder / "shop", ignore=shutil.ignore_patterns("__pycache__"))
    shop = ("run", *options, "--source=shop", "-m", "shop")
    done = start(way, "-m", command, *shop, cwd=folder, COVERAGE_CORE=core, PYTHONPATH=str(HERE))
    assert (done.returncode, done.stderr) == (2, ""), done.stdout + done.stderr
    return done.stdout + _written_report(folder)


def _written_report(folder: Path) -> str:
    def coverage(*arguments: str) -> str:
        # Reports need no core, but for how lines are counted.
        done = python("-m", "coverage", *arguments, cwd=folder, env=environment(COVERAGE_CORE="ctrace"))
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout

    if (folder / ".coveragerc").exists():
        coverage("combine", "--quiet")
    files = json.loads(coverage("json", "--quiet", "-o", "-"))["files"]
    lines = [
        f"{name} {kind} {file[kind]}\n" for name, file in files.items() for kind in KINDS if kind in file
    ]
    return coverage("report", "-m") + "".join(lines)


def statements(way: Way, folder: Path) -> str:
    """coverage.py's report, by its core over `sys.monitoring`."""
    return coverage_report(way, folder, core="sysmon")


def statements_of_children(way: Way, folder: Path) -> str:
    """The same, with what a child process ran."""
    (folder / ".coveragerc").write_text(CHILDREN)
    return coverage_report(way, folder, core="sysmon")


def explanations(way: Way, folder: Path) -> str:
    """The examples that hypothesis found, with the lines that explain them."""
    shutil.copy(PROGRAMS / "properties.py", folder)
    done = start(way, "properties.py", cwd=folder)
    found = re.findall(r"(?ms)^Failing test case: .*?\n(?=\n)", done.stderr)
    assert len(found) == 3, done.stderr
    return "".join(found).replace(str(folder), "FOLDER")


REPORTS: dict[str, Callable[[Way, Path], str]] = {
    report.__name__: report for report in (statements, statements_of_children, explanations)
}


def recorded(name: str) -> str:
    """A report of the recorder's."""
    return (RECORDED / f"{name}.txt").read_text()


def main() -> None:
    """Record every report."""
    if sys.version_info[:2] != RECORDER:
        sys.exit("reports are recorded by Python {}.{}".format(*RECORDER))
    for name, report in REPORTS.items():
        with tempfile.TemporaryDirectory() as folder:
            (RECORDED / f"{name}.txt").write_text(report(Way.OWN, Path(folder)))


if __name__ == "__main__":
    main()
