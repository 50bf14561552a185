"""Runs one loop over events of C code: started by capi.py, in a process of its own.

Owns what a case is. It must not believe a time: it says how many events are told too, and capi.py
judges. After each chunk of a loop comes one of the empty loop, so that whatever else the machine does
meets both alike.
"""

import importlib
import json
import operator
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TOOL_ID = 0
CODE = compile("", "<bench>", "exec")
CHECKED = 10
"""So many events show whether any are told."""


@dataclass(frozen=True)
class Case:
    """What is run, and what tools want meanwhile. Without a listener: another event."""

    title: str
    loop: str = "fire"
    listener: str | Callable[..., object] = ""
    fires: bool = False
    chunk: int = 1_000_000
    """Turns that take a few milliseconds."""


CASES = {
    "empty": Case("the empty loop", "empty"),
    "byte": Case("a load, a test and a branch", "byte"),
    "inactive": Case("an event that nobody wants"),
    "disabled": Case("an event that is disabled", listener="disables"),
    "enter": Case("entering an unchanged scope", "enter"),
    "python": Case("an event told to Python", listener=lambda _code, _line: None, fires=True, chunk=50_000),
    "builtin": Case("an event told to a C builtin", listener=operator.is_, fires=True, chunk=50_000),
    "native": Case("an event told to a native tool", listener="native", fires=True, chunk=50_000),
}


class Tools:
    """The tools of this process: monitrace's, or the interpreter's own without it."""

    def __init__(self, *, ours: bool) -> None:
        self.extension: Any = None
        if ours:
            # Built by the nox session. It has the functions behind monitrace.h, as the package does.
            self.extension = importlib.import_module("monitrace_bench")
            sys.modules["monitrace"] = types.ModuleType("monitrace")
            sys.modules["monitrace._native"] = self.extension
        self.monitoring: Any = self.extension.install() if ours else vars(sys)["monitoring"]

    def start(self, listener: str | Callable[..., object]) -> None:
        if listener == "native":
            self.extension.count(["LINE"])
            return
        events = self.monitoring.events
        self.monitoring.use_tool_id(TOOL_ID, "bench")
        if listener == "disables":
            listener = self.disable
        if listener:
            self.monitoring.register_callback(TOOL_ID, events.LINE, listener)
        # Nothing but the loop runs: the events of Python code do not count.
        self.monitoring.set_events(TOOL_ID, events.LINE if listener else events.PY_THROW)

    def disable(self, _code: types.CodeType, _line: int) -> object:
        return self.monitoring.DISABLE

    def told(self, case: Case, fire: Callable[[int], object]) -> int:
        """How many events of the loop are told while it fires as many as are checked."""
        if case.listener == "native":
            before = self.extension.counted()
            fire(0)
            between = self.extension.counted()
            fire(CHECKED)
            return int(self.extension.counted() - between - (between - before))
        told = 0

        def count(code: object, _line: int) -> None:
            nonlocal told
            told += code is CODE

        self.monitoring.register_callback(TOOL_ID, self.monitoring.events.LINE, count)
        fire(CHECKED)
        return told


def main() -> None:
    """Arguments: `ours` or `own`, the case, how many chunks, the turns of a chunk (0: the case's own)."""
    which, name, chunks, turns = sys.argv[1:]
    case = CASES[name]
    n = int(turns) or case.chunk
    tools = Tools(ours=which == "ours")
    loops: Any = importlib.import_module("capi_loops")
    tools.start(case.listener)
    loops.enter()
    # The first visit, which is the last one of what is disabled, is not measured.
    loops.run("fire", 1, CODE)
    taken, empty = [], []
    for _ in range(int(chunks)):
        taken.append(loops.run(case.loop, n, CODE) / n)
        # A count is told apart by the loop's name alone.
        if turns == "0":
            empty.append(loops.run("empty", n, CODE) / n)
    told = 0 if turns != "0" else tools.told(case, lambda n: loops.run("fire", n, CODE))
    print(json.dumps({"taken": taken, "empty": empty, "told": told}))


if __name__ == "__main__":
    main()
