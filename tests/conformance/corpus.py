"""The corpus on disk: its programs, goldens and differences, and the commands that write them.

Owns the file formats and the comparison. It must never write a reason: that takes somebody who looked.
"""

import argparse
import difflib
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from families import FAMILIES, RULED, of_program

HERE = Path(__file__).parent
ORACLE = (3, 14)
"""The version whose own sys.monitoring the goldens are recorded from."""
VERSION = f"cp3{sys.version_info.minor}"


@dataclass(frozen=True)
class Difference:
    """How a version's stream differs from the golden, and why."""

    reason: str
    diff: str


def programs() -> list[str]:
    """The names of all programs, in order."""
    return sorted(path.stem for path in (HERE / "programs").glob("*.py"))


def families(name: str) -> tuple[str, ...]:
    """The families that a program is recorded with."""
    return of_program((HERE / "programs" / f"{name}.py").read_text())


def has_rules(name: str) -> bool:
    """Whether a program can be recorded by rule: its families have rules, and are on all of the time."""
    return bool(families(name)) and RULED.issuperset(families(name))


def record(name: str, *options: str) -> str:
    """The program's stream under this interpreter, from a process of its own."""
    program = str(HERE / "programs" / f"{name}.py")
    command = [sys.executable, "-W", "error", str(HERE / "record.py"), program, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0 or done.stderr:
        raise RuntimeError(f"{name} ended with status {done.returncode}\n{done.stderr}")
    return done.stdout


def without_exceptions(stream: str) -> list[str]:
    """A stream's lines without the exceptions that its events tell of."""
    events = "|".join((*FAMILIES["exceptions"], "PY_THROW"))
    return [re.sub(rf"^((?:{events}) .*) -> .*", r"\1", line) for line in stream.splitlines()]


def golden_path(name: str) -> Path:
    """Where a program's golden is."""
    return HERE / "goldens" / f"{name}.events"


def golden(name: str) -> str:
    """The recorded stream without its head."""
    _head, stream = golden_path(name).read_text().split("\n", 1)
    return stream


def difference_path(name: str, version: str = VERSION) -> Path:
    """Where a version's difference is, if it has one."""
    return HERE / "differences" / f"{name}.{version}.diff"


def difference(name: str, version: str = VERSION) -> Difference:
    """The recorded difference; an empty one where there is no file."""
    path = difference_path(name, version)
    if not path.exists():
        return Difference("", "")
    reason, _, diff = path.read_text().partition("\n--- ")
    return Difference(reason.strip(), f"--- {diff}")


def compare(name: str, stream: str) -> str:
    """The unified diff from the golden to the stream; empty if they are equal."""
    before, after = golden(name).splitlines(keepends=True), stream.splitlines(keepends=True)
    return "".join(difflib.unified_diff(before, after, f"{name}.events", VERSION))


def write_goldens(names: list[str]) -> None:
    """Record the goldens afresh."""
    if sys.version_info[:2] != ORACLE:
        sys.exit(f"goldens are recorded with Python {ORACLE[0]}.{ORACLE[1]} only")
    head = f"# recorded from the sys.monitoring of CPython {sys.version.split()[0]}\n"
    for name in names:
        golden_path(name).write_text(head + record(name, "--native"))


def write_differences(names: list[str], *record_options: str) -> None:
    """Write the differences of this version. A reason is kept only while its diff stays the same."""
    for name in names:
        diff, path = compare(name, record(name, *record_options)), difference_path(name)
        if not diff:
            path.unlink(missing_ok=True)
        elif diff != difference(name).diff:
            path.write_text("\n" + diff)
            print(f"{path.relative_to(HERE)}: give its reason above the diff")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write goldens or differences with this interpreter.")
    parser.add_argument("what", choices=("goldens", "differences"))
    parser.add_argument("names", nargs="*", metavar="NN_topic", help="programs; all by default")
    parser.add_argument("--native", action="store_true", help="ignore monitrace")
    options = parser.parse_args()
    names = options.names or programs()
    if unknown := set(names) - set(programs()):
        parser.error(f"no such program: {', '.join(sorted(unknown))}")
    if options.what == "goldens":
        write_goldens(names)
    else:
        write_differences(names, *(["--native"] if options.native else []))


if __name__ == "__main__":
    main()
