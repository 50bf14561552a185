"""Runs CPython's own tests (`test.libregrtest`) with events on, or plainly.

Owns the tool that is on while they run. It must never change the tests or what they are run with: the
plain run goes through here too, so that the events are all that differs.
"""

import atexit
import json
import sys
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

EVENTS = "--events"
"""First argument of a run with events; the next is the file to report them to, and all others are
libregrtest's."""


def switch_on(report: Path) -> None:
    """Have a native tool count every event of all code."""
    import monitrace
    from monitrace import _native

    monitrace.install()
    count = _native.Count(_native.EVENTS)

    @atexit.register
    def tell() -> None:
        """Write how often each event happened, and which do not happen any more."""
        during = count.counts()
        exercise()
        silent = [event for event, number in count.counts().items() if number == during[event]]
        report.write_text(json.dumps({"counts": during, "silent": silent}))

    count.start()


def exercise() -> None:
    """Makes every event happen."""

    def inner() -> Generator[int, None, int]:
        with suppress(ValueError):
            yield 1
        return 2

    def outer() -> Generator[int, None, None]:
        for _ in range(2):
            yield from inner()

    for _ in outer():
        pass
    generator = outer()
    next(generator)
    generator.throw(ValueError)
    with suppress(ValueError), suppress(KeyError):
        int("no number")


if __name__ == "__main__":
    # As `python -m test` begins: nothing of ours is beside the tests' modules.
    del sys.path[0]
    if sys.argv[1:2] == [EVENTS]:
        switch_on(Path(sys.argv[2]))
        del sys.argv[1:3]
    from test.libregrtest.main import main  # type: ignore[import-not-found]

    main()
