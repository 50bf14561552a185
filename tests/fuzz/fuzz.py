"""Finds programs whose events on 3.11 are not those of the oracle. The command line.

Owns the comparison and the processes in which it is made, so that a crash or a hang is found like any other
fault. It must never excuse a difference.
"""

import argparse
import faulthandler
import gc
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import generate
import plan as plans
import session
import shrink

HERE = Path(__file__).parent
BATCH = 200
"""Programs for one process."""
PATIENCE = 60
"""Seconds for one program."""
CONTEXT = 6
"""Lines of a stream that are shown before a difference."""


def faults(text: str, seed: int, random_plans: int = 3) -> Iterator[str]:
    """What is wrong with a program's runs, in words. Nothing: all is as the oracle says, or it cannot tell."""
    alone = session.alone(session.compiled(text))
    outcome, happenings = session.traced(session.compiled(text))
    if happenings is None:
        return
    if outcome.log != alone.log:
        yield from difference("the oracle changes the program", alone.log, outcome.log)
        return
    labels = list(session.compiled(text).all)
    every = [plans.everything(seed), *(plans.random_plan(seed * 10 + k, labels) for k in range(random_plans))]
    for plan in every:
        outcome = session.monitored(session.compiled(text), plan)
        told = plans.expected(plan, happenings)
        about = f"under {plan}:"
        yield from outcome.problems
        yield from difference(f"{about} the program changes", alone.log, outcome.log)
        yield from difference(f"{about} events", told, outcome.told)


def difference(about: str, expected: Sequence[object], found: Sequence[object]) -> Iterator[str]:
    """The first difference between two lists, if there is one, and what is around it."""
    for at, (ours, theirs) in enumerate(zip_longest(expected, found)):
        if ours != theirs:
            before = [f"    {each}" for each in expected[max(0, at - CONTEXT) : at]]
            wanted = [f"  - {each}" for each in expected[at : at + CONTEXT]]
            got = [f"  + {each}" for each in found[at : at + CONTEXT]]
            yield "\n".join([about, *before, *wanted, *got])
            return


def check(text: str, seed: int) -> str:
    """The first fault of a program, from this process."""
    return next(faults(text, seed), "")


def check_apart(path: Path, seed: int) -> str:
    """The first fault of a program, from a process of its own."""
    command = [sys.executable, str(HERE / "fuzz.py"), "--check", str(path), str(seed)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return "hang"
    if done.returncode < 0:
        return f"crash: signal {-done.returncode}\n{done.stderr}"
    return done.stdout + done.stderr


def work(seeds: range) -> None:
    """Check the programs of these seeds, each with a line when it begins and when it is done."""
    import monitrace

    monitrace.install()
    session.quiet()
    for seed in seeds:
        print("seed", seed, flush=True)
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        if fault := check(generate.program(seed), seed):
            print("fault", fault.replace("\n", "\n "), flush=True)
        faulthandler.cancel_dump_traceback_later()
        gc.collect()


def run(first: int, count: int | None, minutes: float, keep: Path, *, most: int) -> int:
    """Check programs from this seed on, for so many programs or so long. How many have a fault."""
    end, faulty, seed = time.monotonic() + 60 * minutes, 0, first
    while time.monotonic() < end and (count is None or seed < first + count) and faulty < most:
        size = BATCH if count is None else min(BATCH, first + count - seed)
        command = [sys.executable, str(HERE / "fuzz.py"), "--work", str(seed), str(size)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as worker:
            found: dict[int, list[str]] = {}
            for line in worker.stdout or ():
                word, _, rest = line.partition(" ")
                if word == "seed":
                    seed = int(rest)
                    if time.monotonic() > end:
                        worker.terminate()
                        break
                else:
                    found.setdefault(seed, []).append(rest)
        if worker.returncode and time.monotonic() <= end:
            found.setdefault(seed, []).append(f"the process ended with status {worker.returncode}")
        for each, fault in found.items():
            faulty += 1
            report(each, "".join(fault), keep)
        seed += 1
    print(f"{seed - first} programs, {faulty} of them with faults")
    return faulty


def report(seed: int, fault: str, keep: Path) -> None:
    """Write the program of a seed and, if its fault shows again, a smaller one with the same kind of fault."""
    keep.mkdir(parents=True, exist_ok=True)
    path = keep / f"{seed}.py"
    path.write_text(generate.program(seed))
    print(f"seed {seed}: {path}\n{fault}", flush=True)
    again = check_apart(path, seed)
    if not again:
        print("which does not show by itself")
        return
    small = keep / f"{seed}-small.py"
    small.write_text(shrink.smaller(path.read_text(), kind(again), lambda text: kind(_try(text, seed, keep))))
    print(f"smaller: {small}\n{small.read_text()}{check_apart(small, seed)}", flush=True)


def _try(text: str, seed: int, keep: Path) -> str:
    path = keep / "trying.py"
    path.write_text(text)
    return check_apart(path, seed)


def kind(fault: str) -> str:
    """What of a fault stays the same in a smaller program."""
    if fault.startswith(("hang", "crash")):
        return fault.splitlines()[0]
    for line in fault.splitlines():
        if line.endswith((": the program changes", ": events")):
            return line
    return fault and "other"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Look for programs whose events are not the oracle's.")
    parser.add_argument("--first", type=int, default=int(time.time()), help="the first seed; the time by default")
    parser.add_argument("--count", type=int, help="how many programs; as many as there is time for by default")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--most", type=int, default=5, help="stop after so many faults")
    parser.add_argument("--keep", type=Path, default=Path("target/fuzz"), help="where faulty programs are put")
    parser.add_argument("--check", nargs=2, metavar=("FILE", "SEED"), help="only this program, with the plans of a seed")
    parser.add_argument("--work", nargs=2, type=int, metavar=("SEED", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        first, count = options.work
        work(range(first, first + count))
    elif options.check:
        import monitrace

        monitrace.install()
        session.quiet()
        sys.stdout.write(check(Path(options.check[0]).read_text(), int(options.check[1])))
    else:
        sys.exit(run(options.first, options.count, options.minutes, options.keep, most=options.most) > 0)


if __name__ == "__main__":
    main()
