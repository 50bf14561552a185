"""What it costs to switch events on and off while many functions are alive, and to rewrite a code object.

Times are absolute, in processor time, each from a process of its own, and the median of the rounds is shown.
Natively `set_events` only raises a version: the interpreter changes code when it runs next.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from compare import circumstances, facts, progress, who
from switching_measure import EVENTS, MODULES

FOLDER = Path(__file__).parent
MEASURE = "import switching_measure; switching_measure.main()"
FUNCTIONS, QUICK_FUNCTIONS = 20_000, 500

STEPS = {
    "on": "on, for the first time",
    "restart": "restart_events",
    "off": "off",
    "again": "on again",
    "later": "on for the third time",
}

Record = dict[str, Any]


def measure(python: str, extension: str, *arguments: str) -> dict[str, int]:
    """Runs one measurement in a process of its own."""
    env = os.environ | {"PYTHONPATH": extension, "PYTHONHASHSEED": "0"}
    command = [python, "-c", MEASURE, *arguments]
    run = subprocess.run(command, cwd=FOLDER, env=env, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"switching.py: {' '.join(arguments)}: {run.stderr}")
    return dict(json.loads(run.stdout))


def take(pythons: list[str], extension: str, rounds: int, *, quick: bool) -> Record:
    """Measures everything. Only the first interpreter is one whose code is rewritten."""
    interpreters = [facts(python) for python in pythons]
    count = QUICK_FUNCTIONS if quick else FUNCTIONS
    modules = 2 if quick else len(MODULES)
    seconds: dict[str, Any] = {}
    microseconds: dict[str, list[float]] = {}
    for number in range(rounds):
        for events in EVENTS:
            for python, interpreter in zip(pythons, interpreters, strict=True):
                progress(f"round {number + 1} of {rounds}: {interpreter['version']} {events}")
                steps = measure(python, extension, "switching", events, str(count))
                found = seconds.setdefault(interpreter["version"], {}).setdefault(events, {})
                for step, nanoseconds in steps.items():
                    found.setdefault(step, []).append(nanoseconds / 1e9)
            told = measure(pythons[0], extension, "rewriting", events, str(modules))
            microseconds.setdefault(events, []).append(told["nanoseconds"] / told["codes"] / 1e3)
    progress("")
    return {
        **circumstances(rounds),
        "functions": count,
        "interpreters": interpreters,
        "seconds": seconds,
        "microseconds": microseconds,
    }


def table(record: Record) -> str:
    """The record for people."""
    versions = list(record["seconds"])
    lines = [
        f"Processor time, {record['date']}, median of {record['rounds']} rounds.",
        "",
        f"{'milliseconds, ' + format(record['functions'], ',') + ' functions alive':46}"
        + "".join(f"{who(version):>24}" for version in versions),
    ]
    for events in EVENTS:
        for step, title in STEPS.items():
            times = (statistics.median(record["seconds"][version][events][step]) for version in versions)
            cells = "".join(f"{1e3 * seconds:24.2f}" for seconds in times)
            lines.append(f"  {f'{events}: {title}':44}{cells}")
    lines += ["", "microseconds, rewriting one code object (aim: under 20)"]
    for events, times in record["microseconds"].items():
        lines.append(f"  {events:44}{statistics.median(times):24.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("python", nargs="*", help="an interpreter: 3.11 first, then its native rivals")
    parser.add_argument("--extension", default="", help="the folder of monitrace_bench, built for 3.11")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is run (5)")
    parser.add_argument("--quick", action="store_true", help="one round, few functions: does it run?")
    parser.add_argument("--record", type=Path, metavar="FILE", help="keep the numbers as JSON")
    parser.add_argument("--show", type=Path, metavar="FILE", help="show a record instead of measuring")
    options = parser.parse_args()
    if options.show:
        print(table(json.loads(options.show.read_text())))
        return
    rounds = 1 if options.quick else options.rounds
    record = take(options.python, options.extension, rounds, quick=options.quick)
    if options.record:
        options.record.write_text(json.dumps(record, indent=1) + "\n")
    print(table(record))


if __name__ == "__main__":
    main()
