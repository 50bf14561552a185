"""Runs CPython's own tests (`test.libregrtest`) with events on, or plainly.

Owns the tool that is on while they run. It must never change the tests or what they are run with: the
plain run goes through here too, so that the events are all that differs.
"""

import atexit
import sys
from collections import Counter
from pathlib import Path

EVENTS = "--events"
"""First argument of a run with events; the next is the file to write their numbers to, and all others
are libregrtest's."""

NAMES = ("LINE", "PY_START", "PY_RETURN", "CALL", "C_RETURN", "C_RAISE")
"""The events that are on: all that 3.11 makes."""

TOOL = 3
"""An id that no test takes."""


def switch_on(report: Path) -> None:
    """Set the events for all code, with callbacks that only count."""
    import monitrace

    counts: Counter[str] = Counter()
    monitoring = monitrace.install()
    monitoring.use_tool_id(TOOL, "CPython's tests")
    wanted = 0
    for name in NAMES:

        def count(*_: object, name: str = name) -> None:
            counts[name] += 1

        event = getattr(monitoring.events, name)
        monitoring.register_callback(TOOL, event, count)
        wanted |= event
    atexit.register(lambda: report.write_text("".join(f"{name} {counts[name]}\n" for name in sorted(counts))))
    monitoring.set_events(TOOL, wanted)


if __name__ == "__main__":
    # As `python -m test` begins: nothing of ours is beside the tests' modules.
    del sys.path[0]
    if sys.argv[1:2] == [EVENTS]:
        switch_on(Path(sys.argv[2]))
        del sys.argv[1:3]
    from test.libregrtest.main import main  # type: ignore[import-not-found]

    main()
