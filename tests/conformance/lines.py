"""CPython 3.14's rule of LINE, for 3.11's bytecode: `by_rule.py` and the oracle of `tests/fuzz` ask here.

An instruction may start a line if the one in front of it has another line, or if something can jump to
it; LINE fires if what ran before it in its frame was on another line, or was the RESUME at which its
function begins. It fires too when something is thrown into a generator that waits for another. It must
never learn of the rewriter.
"""

import dis
from itertools import pairwise
from types import CodeType

NEVER_A_LINE = ("RESUME", "END_ASYNC_FOR")
"""Opcodes that 3.14 lets start no line, as far as 3.11 has them."""


class Lines:
    """The lines of a code object; all positions are offsets in bytes."""

    def __init__(self, code: CodeType) -> None:
        self.of = {unit: line for start, end, line in code.co_lines() for unit in range(start, end, 2)}
        """The line of each unit; None without one."""
        shown = list(dis.get_instructions(code))
        entries = dis._parse_exception_table(code)  # type: ignore[attr-defined]
        targets = {entry.target for entry in entries} | {each.offset for each in shown if each.is_jump_target}
        first = next((each.offset for each in shown if each.opname == "RESUME"), 0)
        self._begins = {each.offset for each in shown if each.opname == "RESUME" and each.arg == 0}
        self._starts = set()
        line_before: int | None = None
        start: int | None = None
        for each in shown:
            # An instruction starts with its first EXTENDED_ARG.
            start = each.offset if start is None else start
            if each.opname == "EXTENDED_ARG":
                continue
            if each.offset > first and each.opname not in NEVER_A_LINE:
                line = self.of[start]
                if line is not None and (line != line_before or start in targets):
                    self._starts.add(start)
                line_before = line
            start = None
        self._waits = {
            b.offset for a, b in pairwise(shown) if (a.opname, b.opname) == ("SEND", "YIELD_VALUE")
        }

    def starts(self, here: int, before: int) -> bool:
        """Whether LINE fires for what starts here, if `before` is what ran last in its frame."""
        return here in self._starts and (before in self._begins or self.of[here] != self.of[before])

    def starts_by_throwing(self, here: int) -> bool:
        """Whether LINE fires for what is thrown into a frame that stands here. From 3.12 on `yield from` and
        `await` have a handler for that, which starts their line: the frame comes from its RESUME, and that
        hides no line. 3.14 forgets this once the RESUME has run while no tool had PY_RESUME there."""
        return here in self._waits and self.of[here] is not None
