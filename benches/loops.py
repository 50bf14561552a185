"""What one event costs, in a loop of nothing else: instructions and nanoseconds, for the engine in no virtual
machine (engine/), or for a producer that is written in Rust (producer/).

Instructions are counted by callgrind within the measured function, and are the difference of two
runs, so that nothing but the loop is in them. Times are medians of rounds that run every case once.
Both have the loop in them: the first line is the loop alone.
"""

import argparse
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

CASES = {
    "monitrace-bench-engine": {
        "empty": "empty loop",
        "inactive": "an event that nobody wants",
        "disabled": "an event that is disabled",
        "entered": "the same, entering the scope each time",
        "local": "a native callback, one thread",
        "callback": "a native callback, any thread",
    },
    "monitrace-bench-producer": {
        "empty": "empty loop",
        "byte": "a load of a byte and a branch",
        "inactive": "an event that nobody wants",
        "disabled": "an event that is disabled",
        "entered": "the first, entering the scope each time",
        "callback": "an event to a C builtin",
    },
}
COUNTED = (1_000, 11_000)
TIMED = 20_000_000
ROUNDS = 9


def instructions(program: str, case: str, n: int) -> int:
    """The instructions within the measured function, entering it and the first visit included."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "callgrind.out")
        valgrind = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}")
        # Whether the crate stands before it, and the hash behind it, depends on the mangling.
        command = [*valgrind, "--toggle-collect=*measured_*", program, case, str(n)]
        subprocess.run(command, check=True, capture_output=True)
        found = re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError("callgrind counted nothing")
    return int(found[1])


def instructions_per_event(program: str, case: str) -> float:
    few, many = (instructions(program, case, n) for n in COUNTED)
    return (many - few) / (COUNTED[1] - COUNTED[0])


def nanoseconds(program: str, case: str) -> float:
    run = subprocess.run([program, case, str(TIMED)], check=True, capture_output=True, text=True)
    return int(run.stdout) / TIMED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help=f"one of {', '.join(CASES)}, built for release")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    cases = CASES[Path(arguments.program).name]
    counts = shutil.which("valgrind") is not None
    rounds = [{case: nanoseconds(arguments.program, case) for case in cases} for _ in range(arguments.rounds)]
    print(f"{'per event, the loop included':40} {'instructions':>12} {'ns':>8}")
    for case, text in cases.items():
        count = f"{instructions_per_event(arguments.program, case):.1f}" if counts else "no valgrind"
        time = statistics.median(measured[case] for measured in rounds)
        print(f"{text:40} {count:>12} {time:8.2f}")


if __name__ == "__main__":
    main()
