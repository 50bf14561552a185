"""Who listens to what, and which events of a program they are told.

Owns what a run under monitoring does beside the program: its tools, the changes that the program's calls of
`switch` make, and which answers are `DISABLE`. `expected` says by the documented rules what comes of it.
It must never look at how a run went.
"""

import random
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from stream import EVENTS, Happening, Told

RAISING = frozenset({"RAISE", "RERAISE", "EXCEPTION_HANDLED", "PY_UNWIND", "PY_THROW"})
"""Events that have no place that they could be set for or disabled at."""
ENDS = frozenset({"C_RETURN", "C_RAISE"})
"""Events that come with `CALL`."""
LOCAL = frozenset(EVENTS) - RAISING - ENDS
SWITCH = "switch"
"""Stands in a stream where the program has called `switch`."""


@dataclass(frozen=True)
class Change:
    """Sets a tool's events; where a label is given, those of that code object. Tool -1: all disabled places."""

    tool: int
    events: frozenset[str] = frozenset()
    label: str | None = None


@dataclass
class Plan:
    """A run's tools and what happens to them."""

    seed: int
    tools: list[int]
    first: list[Change]
    """What is set before the program begins."""
    later: list[list[Change]]
    """What each call of `switch` does, in turn."""
    rate: int
    """How many of a hundred answers are `DISABLE`."""

    def answer(self, tool: int, event: str, label: str, where: int, count: int) -> bool:
        """Whether a tool disables a place, when it is told of it for the so-manieth time."""
        if not self.rate or event not in LOCAL:
            return False
        text = f"{self.seed} {tool} {event} {label} {where} {count}"
        return zlib.crc32(text.encode()) % 100 < self.rate


def everything(seed: int = 0) -> Plan:
    """One tool that listens to all there is."""
    return Plan(seed, [0], [Change(0, frozenset(EVENTS))], [], 0)


def random_plan(seed: int, labels: list[str]) -> Plan:
    """Any plan for a program with these code objects."""
    choose = random.Random(seed)
    tools = sorted(choose.sample(range(6), choose.choice((1, 1, 2, 3))))

    def some(events: Iterable[str]) -> frozenset[str]:
        ordered = sorted(events)
        if choose.randrange(4) == 0:
            return frozenset(ordered)
        return frozenset(choose.sample(ordered, choose.randint(0, len(ordered))))

    def change() -> Change:
        if choose.randrange(8) == 0:
            return Change(-1)
        if choose.randrange(3) == 0:
            return Change(choose.choice(tools), some(LOCAL), choose.choice(labels))
        return Change(choose.choice(tools), some(EVENTS))

    is_late = choose.randrange(3) == 0
    first = [] if is_late else [Change(tool, some(EVENTS)) for tool in tools]
    first += [Change(choose.choice(tools), some(LOCAL), choose.choice(labels)) for _ in range(choose.randrange(4))]
    later = [[change() for _ in range(choose.randint(1, 2))] for _ in range(choose.choice((0, 1, 3, 8)))]
    return Plan(seed, tools, first, later, choose.choice((0, 0, 5, 30, 80)))


@dataclass
class _State:
    """What is set and disabled while a program runs."""

    plan: Plan
    everywhere: dict[int, frozenset[str]] = field(default_factory=dict)
    local: dict[tuple[int, str], frozenset[str]] = field(default_factory=dict)
    disabled: set[tuple[int, str, str, int]] = field(default_factory=set)
    counts: Counter[tuple[int, str, str, int]] = field(default_factory=Counter)

    def apply(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.tool < 0:
                self.disabled.clear()
            elif change.label is None:
                self.everywhere[change.tool] = change.events
            else:
                self.local[change.tool, change.label] = change.events

    def listens(self, tool: int, event: str, label: str) -> bool:
        event = "CALL" if event in ENDS else event
        return event in self.everywhere.get(tool, ()) or event in self.local.get((tool, label), ())

    def hears(self, tool: int, happening: Happening) -> bool:
        event = "CALL" if happening.event in ENDS else happening.event
        is_disabled = (tool, event, happening.label, happening.place) in self.disabled
        return self.listens(tool, event, happening.label) and not is_disabled

    def tell(self, tool: int, happening: Happening) -> Told:
        key = (tool, happening.event, happening.label, happening.told[0])
        self.counts[key] += 1
        if self.plan.answer(*key, self.counts[key]):
            self.disabled.add((tool, happening.event, happening.label, happening.place))
        return (tool, happening.event, happening.label, *happening.told)


def expected(plan: Plan, happenings: Iterable[Happening]) -> list[Told]:
    """What the tools are told of all that happens."""
    state = _State(plan)
    state.apply(plan.first)
    changes = iter(plan.later)
    calls: dict[int, list[int]] = {}
    told: list[Told] = []
    for happening in happenings:
        if happening.event == SWITCH:
            state.apply(next(changes, []))
            continue
        # Highest id first.
        tools = [tool for tool in reversed(plan.tools) if state.hears(tool, happening)]
        if happening.event in ENDS:
            # Who has monitored the call and still does. One alone that has just disabled it is told how it ends.
            began = calls.pop(happening.frame, [])
            if len(began) == 1:
                tools = [tool for tool in began if state.listens(tool, happening.event, happening.label)]
            tools = [tool for tool in tools if tool in began]
        elif happening.event == "CALL":
            calls[happening.frame] = tools
        told += [state.tell(tool, happening) for tool in tools]
    return told
