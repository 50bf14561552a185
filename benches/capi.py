"""What an event of C code costs, by monitrace.h and by CPython's own header.

The same loops (`capi_loops.c`) are compiled for each interpreter with monitrace.h, and from 3.13 on with
CPython's own header too. Times are nanoseconds of processor time beyond an empty loop, which runs in the
same process after each chunk; rounds run everything once, and the median of the rounds is shown. Instructions
are counted by callgrind within the loop's function and what it calls, as the difference of two runs: they
have the loop in them.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capi_measure import CASES, CHECKED
from compare import WrongResultError, circumstances, facts, progress

FOLDER = Path(__file__).parent
INCLUDE = FOLDER.parent / "python/monitrace/include"
OURS = ("-include", "monitrace.h", f"-I{INCLUDE}")
CHUNKS = 25
COUNTED = (1_000, 3_000)
MEASURE = "import capi_measure; capi_measure.main()"
INCLUDES = "import sysconfig; print(sysconfig.get_path('include'))"
# As on CPython alone, the nearest thing to a callback that is no Python function.
NATIVE_RIVAL = {"native": "builtin"}

Record = dict[str, Any]


@dataclass(frozen=True)
class Side:
    """An interpreter and a header."""

    python: str
    version: str
    ours: bool
    folder: Path
    """Where the compiled loops are, and monitrace_bench if it is ours."""

    @property
    def title(self) -> str:
        return self.version if self.ours else f"{self.version} alone"

    @property
    def cases(self) -> list[str]:
        """CPython by itself has no native tools."""
        return [name for name in CASES if self.ours or name != "native"]


def sides(pythons: list[str], extensions: Path, folder: Path) -> list[Side]:
    """What is compared: each interpreter with monitrace, and by itself if it has the C API."""
    found = []
    for python in pythons:
        known = facts(python)
        release = "{}.{}".format(*known["release"])
        kinds = (True, False) if tuple(known["release"]) >= (3, 13) else (True,)
        for ours in kinds:
            side = Side(python, known["version"], ours, folder / f"{release}-{ours}")
            side.folder.mkdir()
            if ours:
                shutil.copy(extensions / release / "monitrace_bench.so", side.folder)
            build(side)
            found.append(side)
    return found


def build(side: Side) -> None:
    """Compiles the loops."""
    include = subprocess.run([side.python, "-c", INCLUDES], capture_output=True, text=True, check=True).stdout
    command = [
        *shlex.split(os.environ.get("CC", "cc")),
        *("-std=gnu11", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"),
        *(OURS if side.ours else ()),
        *("-isystem", include.strip()),
        *(str(FOLDER / "capi_loops.c"), "-o", str(side.folder / "capi_loops.so")),
    ]
    subprocess.run(command, check=True)


def run(side: Side, case: str, chunks: int, turns: int = 0, under: tuple[str, ...] = ()) -> dict[str, Any]:
    """Runs a case once. Raises WrongResultError if events are told that should not be, or the other way
    round."""
    which = "ours" if side.ours else "own"
    # Not by -m: there would be frames of Python below, which 3.11 waits for.
    command = [*under, side.python, "-c", MEASURE, which, case, str(chunks), str(turns)]
    env = os.environ | {"PYTHONPATH": f"{side.folder}{os.pathsep}{FOLDER}", "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise WrongResultError(f"{side.title} {case}: {done.stderr}")
    result = dict(json.loads(done.stdout))
    if turns == 0 and result["told"] != (CHECKED if CASES[case].fires else 0):
        raise WrongResultError(f"{side.title} {case}: {result['told']} events were told")
    return result


def nanoseconds(side: Side, case: str) -> float:
    """What one turn of a case takes more than one of the empty loop, or what that takes itself."""
    result = run(side, case, CHUNKS)
    if case == "empty":
        return float(statistics.median(result["taken"]))
    pairs = zip(result["taken"], result["empty"], strict=True)
    return float(statistics.median(taken - empty for taken, empty in pairs))


def instructions(side: Side, case: str) -> float:
    """The instructions of one turn, the loop included."""
    counts = []
    for turns in COUNTED:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "counts")
            toggle = f"--toggle-collect=measured_{CASES[case].loop}"
            run(side, case, 1, turns, ("valgrind", "--tool=callgrind", toggle, f"--callgrind-out-file={out}"))
            found = re.search(r"(?m)^totals: (\d+)$", out.read_text())
        if found is None:
            raise WrongResultError(f"{side.title} {case}: callgrind counted nothing")
        counts.append(int(found[1]))
    return (counts[1] - counts[0]) / (COUNTED[1] - COUNTED[0])


def take(all_sides: list[Side], rounds: int, *, counts: bool) -> Record:
    """Measures everything."""
    jobs = [(side, case) for case in CASES for side in all_sides if case in side.cases]
    times: dict[str, dict[str, list[float]]] = {}
    for number in range(rounds):
        for side, case in jobs:
            progress(f"round {number + 1} of {rounds}: {side.title} {case}")
            times.setdefault(side.title, {}).setdefault(case, []).append(nanoseconds(side, case))
    counted: dict[str, dict[str, float]] = {}
    for side, case in jobs if counts else []:
        progress(f"counting: {side.title} {case}")
        counted.setdefault(side.title, {})[case] = instructions(side, case)
    progress("")
    return {
        **circumstances(rounds),
        "interpreters": [facts(side.python) for side in all_sides if side.ours],
        "nanoseconds": times,
        "instructions": counted,
    }


def table(record: Record) -> str:
    """The record for people."""
    names = list(record["nanoseconds"])
    lines = [
        f"One turn of a loop, {record['date']}. Ir: its instructions, the loop's among them.",
        f"ns: what it takes more than a turn of the empty loop, median of {record['rounds']} rounds.",
        "",
        f"{'':34}{''.join(f'{name:>18}' for name in names)}",
        f"{'':34}{'      Ir        ns' * len(names)}",
    ]
    for case, about in CASES.items():
        row = [f"{about.title:34}"]
        for name in names:
            count = record["instructions"].get(name, {}).get(case)
            times = record["nanoseconds"][name].get(case)
            row.append(f"{'-' if count is None else format(count, '.1f'):>8}")
            row.append(f"{'-' if times is None else format(statistics.median(times), '.2f'):>10}")
        lines.append("".join(row))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("python", nargs="*", help="an interpreter")
    parser.add_argument("--extensions", type=Path, help="the folder of 3.11/monitrace_bench.so, and so on")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is run (5)")
    parser.add_argument("--quick", action="store_true", help="one round, no counts: does it run at all?")
    parser.add_argument("--no-counts", action="store_true", help="count no instructions")
    parser.add_argument("--record", type=Path, metavar="FILE", help="keep the numbers as JSON")
    parser.add_argument("--show", type=Path, metavar="FILE", help="show a record instead of measuring")
    options = parser.parse_args()
    if options.show:
        print(table(json.loads(options.show.read_text())))
        return
    counts = not (options.quick or options.no_counts)
    if counts and shutil.which("valgrind") is None:
        print("valgrind is not here: instructions are not counted", file=sys.stderr)
        counts = False
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = sides(options.python, options.extensions, Path(folder))
            record = take(found, 1 if options.quick else options.rounds, counts=counts)
        except WrongResultError as error:
            sys.exit(f"capi.py: {error}")
    if options.record:
        options.record.write_text(json.dumps(record, indent=1) + "\n")
    print(table(record))


if __name__ == "__main__":
    main()
