"""Finds programs whose events on 3.11 are not those of the oracle. The command line.

Owns the comparison and the processes in which it is made, so that a crash or a hang is found like any other
fault. It must never excuse a difference.
"""

import argparse
import faulthandler
import gc
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import generate
import monitrace
import plan as plans
import session
import shrink
from plan import Limits
from stream import EVENTS

BATCH = 200
"""Programs for one process."""
RANDOM_PLANS = 3
"""Random plans for each program, beside the one with all events."""
SHRINKING = 60
"""Seconds for making a program smaller."""
PATIENCE = 60
"""Seconds for one program."""
CONTEXT = 6
"""Lines of a stream that are shown before a difference."""


def faults(text: str, seed: int, limits: Limits) -> Iterator[str]:
    """What is wrong with a program's runs, in words. Nothing if the oracle cannot tell."""
    alone = session.alone(session.compiled(text))
    codes = session.compiled(text)
    outcome, happenings = session.traced(codes)
    if happenings is None:
        return
    if outcome.log != alone.log:
        yield from difference("the oracle changes the program", alone.log, outcome.log)
        return
    seen = session.debugged(session.compiled(text)).seen
    every = [plans.everything(seed, limits)]
    every += [plans.random_plan(seed * RANDOM_PLANS + k, limits) for k in range(RANDOM_PLANS)]
    for number, plan in enumerate(every):
        debug = (seed + number) % 2 == 1
        outcome = session.monitored(session.compiled(text), plan, debug=debug)
        about = f"plan {number}\n{plan}\n".replace("\n", "\n  ")
        told = plans.expected(plan, list(codes.all), happenings)
        yield from (f"other frame, {about}{problem}" for problem in outcome.problems)
        yield from difference(f"other outcome, {about}", alone.log, outcome.log)
        yield from difference(f"other events, {about}", told, outcome.told)
        if debug:
            yield from difference(f"a debugger sees otherwise, {about}", seen, outcome.seen)


def difference(about: str, expected: Sequence[object], found: Sequence[object]) -> Iterator[str]:
    """The first difference between two lists, if there is one, and what is around it."""
    for at, (ours, theirs) in enumerate(zip_longest(expected, found)):
        if ours != theirs:
            before = [f"    {each}" for each in expected[max(0, at - CONTEXT) : at]]
            wanted = [f"  - {each}" for each in expected[at : at + CONTEXT]]
            got = [f"  + {each}" for each in found[at : at + CONTEXT]]
            yield "\n".join([about, *before, *wanted, *got])
            return


def apart(action: Callable[[], None]) -> tuple[str, int]:
    """Do something in a process of its own: what it prints, and its exit status, negative for a signal."""
    with tempfile.TemporaryFile() as output:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            faulthandler.enable()
            try:
                action()
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        return output.read().decode(errors="replace"), status


def check(text: str, seed: int, limits: Limits) -> str:
    """The first fault of a program."""

    def action() -> None:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        print(next(faults(text, seed, limits), ""), end="")

    output, status = apart(action)
    return f"the process ended with status {status}\n{output}" if status else output


def check_batch(seeds: range, end: float, limits: Limits) -> tuple[dict[int, str], int]:
    """The faults among the programs of these seeds, from one process, and the seed behind the last one."""

    def action() -> None:
        for seed in seeds:
            if time.monotonic() > end:
                break
            print("seed", seed, flush=True)
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            if fault := next(faults(generate.program(seed), seed, limits), ""):
                print(" " + fault.replace("\n", "\n "), flush=True)
            faulthandler.cancel_dump_traceback_later()
            gc.collect()

    output, status = apart(action)
    found: dict[int, str] = {}
    seed = seeds.start - 1
    for line in output.splitlines():
        if line.startswith("seed "):
            seed = int(line.removeprefix("seed "))
        else:
            found[seed] = found.get(seed, "") + line + "\n"
    if status:
        found[seed] = f"the process ended with status {status}\n{found.get(seed, '')}"
    return found, seed + 1


def run(seeds: range, minutes: float, keep: Path, most: int, limits: Limits) -> int:
    """Check the programs of these seeds, for so long or until so many have a fault. How many have."""
    end, faulty, seed = time.monotonic() + 60 * minutes, 0, seeds.start
    while time.monotonic() < end and seed < seeds.stop and faulty < most:
        found, seed = check_batch(range(seed, min(seeds.stop, seed + BATCH)), end, limits)
        for each, fault in found.items():
            faulty += 1
            if faulty <= most:
                report(each, fault, keep, limits)
    print(f"{seed - seeds.start} programs from seed {seeds.start} on, {faulty} of them with faults")
    return faulty


def report(seed: int, fault: str, keep: Path, limits: Limits) -> None:
    """Write the program of a seed and, if its fault shows again, a smaller one with that kind of fault."""
    keep.mkdir(parents=True, exist_ok=True)
    path, text = keep / f"{seed}.py", generate.program(seed)
    path.write_text(text)
    print(f"seed {seed}: {path}\n{fault}", flush=True)
    again = kind(check(text, seed, limits))
    if not again:
        print("which does not show by itself")
        return
    text = shrink.smaller(text, lambda text: kind(check(text, seed, limits)) == again, SHRINKING)
    path.with_stem(f"{seed}-small").write_text(text)
    print(f"smaller:\n{text}{check(text, seed, limits)}", flush=True)


def kind(fault: str) -> str:
    """What of a fault stays the same in a smaller program."""
    return fault.partition("\n")[0]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Look for programs whose events are not the oracle's.")
    parser.add_argument(
        "--first", type=int, default=int(time.time()), help="the first seed; the time by default"
    )
    parser.add_argument(
        "--count", type=int, default=10**9, help="how many programs; as many as there is time for by default"
    )
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--most", type=int, default=5, help="stop after so many faults")
    parser.add_argument(
        "--keep", type=Path, default=Path("target/fuzz"), help="where faulty programs are put"
    )
    parser.add_argument(
        "--check", type=Path, metavar="FILE", help="only this program, with the plans of --first"
    )
    parser.add_argument(
        "--lose", choices=EVENTS, help="with --check: forget to tell of this, which must be found"
    )
    parser.add_argument("--events", nargs="+", choices=EVENTS, default=EVENTS, help="only these")
    parser.add_argument("--still", action="store_true", help="set no events while a program runs")
    options = parser.parse_args()
    # Before processes are made of this one.
    monitrace.install()
    session.quiet()
    first, limits = options.first, Limits(options.events, options.still)
    if options.check:
        session.lost = options.lose
        sys.exit(check(options.check.read_text(), first, limits) or 0)
    seeds = range(first, first + options.count)
    sys.exit(run(seeds, options.minutes, options.keep, options.most, limits) > 0)


if __name__ == "__main__":
    main()
