"""Runs every configuration on every program and interpreter, and says what monitoring costs.

Every number is a ratio of one interpreter to itself: interpreters are built differently, so their
times say nothing about each other. Times are taken in rounds, each of which runs everything once, in
processes of their own, so that what else the machine does meets all alike; a ratio is taken within
its round, and the table shows the median. Instructions are counted by callgrind on smaller sizes,
between the two calls of the clock, so the start and the setting of events are not in them.
"""

import argparse
import datetime
import itertools
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from measure import CONFIGURATIONS, NATIVE, configurations

FOLDER = Path(__file__).parent
MODULE_LEVEL = "module_level"
"""The program that is not in the geometric mean."""
ALL = [
    *("recursion", "floats", "objects", "text", "queens", "generators", "exceptions", "coroutines"),
    MODULE_LEVEL,
]
BASE = "unmonitored"
MEASURE = "import measure; measure.main()"
# Called at both ends of what is measured, and nowhere else.
CLOCK = "time_process_time_ns"

FACTS = """
import json, platform, sys, sysconfig
options = (sysconfig.get_config_var("CONFIG_ARGS") or "").replace("'", "").split()
print(json.dumps({
    "release": sys.version_info[:3],
    "version": platform.python_version(),
    "compiler": platform.python_compiler(),
    "options": [o for o in options if o.startswith(("--enable", "--with", "--disable")) and "=" not in o],
}))
"""

Record = dict[str, Any]


class WrongResultError(Exception):
    """A program did not do what it should, so its time means nothing."""


def facts(python: str) -> dict[str, Any]:
    """What an interpreter is, and how it was built."""
    run = subprocess.run([python, "-c", FACTS], capture_output=True, text=True, check=True)
    return dict(json.loads(run.stdout))


def circumstances(rounds: int) -> Record:
    """What every record says of its making."""
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "rounds": rounds,
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "processors": os.cpu_count(),
        },
    }


def measure(command: list[str], extension: str, name: str, program: str, which: str) -> int:
    """Runs a program once and returns its nanoseconds of processor time.

    Raises WrongResultError if its answer is not right, or if events happened when they should not, or
    the other way round.
    """
    # Hashes that differ from run to run would change the work that dicts do.
    env = os.environ | {"PYTHONPATH": extension, "PYTHONHASHSEED": "0"}
    command = [*command, "-c", MEASURE, name, program, which]
    run = subprocess.run(command, cwd=FOLDER, env=env, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise WrongResultError(f"{name} {program}: {run.stderr}")
    nanoseconds, events, right = map(int, run.stdout.split())
    if not right:
        raise WrongResultError(f"{name} {program}: the answer is wrong")
    if (events > 0) != CONFIGURATIONS[name].fires:
        raise WrongResultError(f"{name} {program}: {events} events happened")
    return nanoseconds


def count(python: str, extension: str, name: str, program: str) -> int:
    """The instructions of the measured stretch of one run. Raises ValueError if they cannot be told."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "counts")
        valgrind = [
            *("valgrind", "--tool=callgrind", "--quiet"),
            *(f"--dump-before={CLOCK}", f"--callgrind-out-file={out}"),
        ]
        measure([*valgrind, python], extension, name, program, "COUNTED")
        parts = sorted(Path(folder).glob("counts.*"))
        if len(parts) != 2:
            raise ValueError(f"{python} has no symbol {CLOCK}: its instructions cannot be told apart")
        totals = re.search(r"(?m)^totals: (\d+)$", parts[1].read_text())
        assert totals is not None, "callgrind writes totals"
        return int(totals[1])


def can_count(python: str, extension: str) -> bool:
    """Whether its instructions can be counted. Says why not: interpreters without symbols are only timed."""
    try:
        count(python, extension, BASE, ALL[0])
    except ValueError as problem:
        print(f"compare.py: {problem}; it is timed alone", file=sys.stderr)
        return False
    return True


def take(
    pythons: list[str], extension: str, rounds: int, *, only: str, which: str, counts: bool
) -> Iterator[Record]:
    """Measures everything, or those configurations whose names match a pattern: gives the times, and once
    more with the instructions."""
    interpreters = [facts(python) for python in pythons]
    countable = {python for python in pythons if counts and can_count(python, extension)}
    jobs = [
        (python, interpreter["version"], program, name)
        for program in ALL
        for python, interpreter in zip(pythons, interpreters, strict=True)
        for name in configurations(tuple(interpreter["release"]), program)
        if name == BASE or re.search(only, name)
    ]
    nanoseconds: dict[str, Any] = {}
    for number, (python, version, program, name) in itertools.product(range(rounds), jobs):
        progress(f"round {number + 1} of {rounds}: {version} {program} {name}")
        taken = measure([python], extension, name, program, which)
        programs = nanoseconds.setdefault(version, {})
        programs.setdefault(program, {}).setdefault(name, []).append(taken)
    instructions: dict[str, Any] = {}
    record = {
        **circumstances(rounds),
        "interpreters": interpreters,
        "nanoseconds": nanoseconds,
        "instructions": instructions,
    }
    yield record
    # Counts are the same on a busy machine, so all processors may work.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counted = [
            (job, pool.submit(count, job[0], extension, job[3], job[2]))
            for job in jobs
            if job[0] in countable
        ]
        for (_, version, program, name), instruction_count in counted:
            progress(f"counting: {version} {program} {name}")
            instructions.setdefault(version, {}).setdefault(program, {})[name] = instruction_count.result()
    progress("")
    yield record


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def times(record: Record, version: str, program: str, name: str) -> float | None:
    """How many times as long a program takes, if it was measured so: the median of the rounds."""
    taken = record["nanoseconds"][version][program]
    if name not in taken:
        return None
    ratios = [monitored / plain for monitored, plain in zip(taken[name], taken[BASE], strict=True)]
    return float(statistics.median(ratios))


def instructions(record: Record, version: str, program: str, name: str) -> float | None:
    """How many times as many instructions a program takes, if they were counted."""
    counted = record["instructions"].get(version, {}).get(program, {})
    return float(counted[name] / counted[BASE]) if name in counted else None


def geometric_mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.geometric_mean(known) if known else None


def row(record: Record, version: str, name: str) -> list[float | None]:
    """A configuration's numbers, in the order of `headings`."""
    programs = functions(record)
    taken = [times(record, version, program, name) for program in programs]
    counted = [instructions(record, version, program, name) for program in programs]
    return [
        *taken,
        geometric_mean(taken),
        geometric_mean(counted),
        times(record, version, MODULE_LEVEL, name),
        instructions(record, version, MODULE_LEVEL, name),
    ]


def functions(record: Record) -> list[str]:
    """The programs of the geometric mean."""
    programs = next(iter(record["nanoseconds"].values()))
    return [program for program in programs if program != MODULE_LEVEL]


def headings(record: Record) -> list[str]:
    return [*functions(record), "mean", "mean Ir", "module", "module Ir"]


def cells(values: list[float | None], form: str = "{:.2f}") -> str:
    return "".join(f"{'-' if value is None else form.format(value):>11}" for value in values)


def who(version: str) -> str:
    return f"{version} with monitrace" if version.startswith("3.11.") else f"{version} natively"


def rival(name: str) -> str:
    """What a configuration is compared with. Natively a C builtin is the nearest thing to a callback that
    is no Python function."""
    return name.removesuffix(NATIVE) + "-builtin" if name.endswith(NATIVE) else name


def table(record: Record) -> str:
    """The record for people."""
    heading = "".join(f"{title:>11}" for title in headings(record))
    width = 46
    lines = [
        f"Ratio to the same interpreter unmonitored (1.00: monitoring costs nothing), {record['date']},",
        f"median of {record['rounds']} interleaved rounds of processor time. Ir: the same of instructions.",
        "mean: geometric, of the programs that have such events. module: a module's own loop, running when",
        "events are set.",
    ]
    rows: dict[str, dict[str, list[float | None]]] = {}
    for interpreter in record["interpreters"]:
        version = interpreter["version"]
        measured = set().union(*record["nanoseconds"][version].values())
        names = [name for name in CONFIGURATIONS if name in measured and name != BASE]
        rows[version] = {name: row(record, version, name) for name in names}
        lines += ["", f"{who(version):{width}}{heading}"]
        lines += [f"  {CONFIGURATIONS[name].title:{width - 2}}{cells(rows[version][name])}" for name in names]
    (ours, own), *others = rows.items()
    for theirs, native in others:
        lines += ["", f"{f'{ours} to {theirs} (aim: 1.00 or below)':{width}}{heading}"]
        for name, values in own.items():
            if name == "settrace" or rival(name) not in native:
                continue
            shares = [
                None if mine is None or other is None else mine / other
                for mine, other in zip(values, native[rival(name)], strict=True)
            ]
            lines.append(f"  {CONFIGURATIONS[name].title:{width - 2}}{cells(shares)}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("python", nargs="*", help="an interpreter: 3.11 first, then its native rivals")
    parser.add_argument("--extension", default="", help="the folder of monitrace_bench, built for 3.11")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is run (3)")
    parser.add_argument("--quick", action="store_true", help="one short round, no counts: does it run?")
    parser.add_argument("--only", default="", metavar="REGEX", help="measure these configurations alone")
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
    rounds = 1 if options.quick else options.rounds
    try:
        which = "COUNTED" if options.quick else "SIZE"
        for record in take(
            options.python, options.extension, rounds, only=options.only, which=which, counts=counts
        ):
            if options.record:
                options.record.write_text(json.dumps(record, indent=1) + "\n")
    except (WrongResultError, ValueError) as error:
        sys.exit(f"compare.py: {error}")
    print(table(record))


if __name__ == "__main__":
    main()
