"""The families of events, and which of them a program of the corpus is recorded with.

Owns the one table of events. It must never need `sys.monitoring`: what reads programs runs without.
"""

FAMILIES = {
    "lines": ("LINE",),
    "starts": ("PY_START",),
    "returns": ("PY_RETURN",),
    "calls": ("CALL", "C_RETURN", "C_RAISE"),
    "generators": ("PY_RESUME", "PY_YIELD", "PY_THROW"),
    "exceptions": ("RAISE", "RERAISE", "EXCEPTION_HANDLED", "PY_UNWIND"),
    "stops": ("STOP_ITERATION",),
    "branches": ("BRANCH_LEFT", "BRANCH_RIGHT"),
    "jumps": ("JUMP",),
    "instructions": ("INSTRUCTION",),
}

RULED = FAMILIES.keys() - {"calls", "stops"}
"""The families that `by_rule.py` makes: what others tell is on the stack, where no trace function looks."""

USUAL = ("lines", "starts", "returns")
"""The families of a program that names none."""

NO_EVENTS = "# starts with no events"
"""First line of a program that claims its tools and sets its events itself."""

RECORDS = "# records "
"""Begins the first line of a program that names its families, with commas between them."""


def of_program(source: str) -> tuple[str, ...]:
    """The families that a program is recorded with: none, if it sets its events itself."""
    first = source.partition("\n")[0]
    if first == NO_EVENTS:
        return ()
    if first.startswith(RECORDS):
        return tuple(first.removeprefix(RECORDS).split(", "))
    return USUAL
