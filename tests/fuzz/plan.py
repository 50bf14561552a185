"""Who listens to what, and which events of a program they are told.

Owns what a run under monitoring does beside the program: its tools, the changes that the program's calls of
`switch` make, and which answers are `DISABLE`. `expected` says by the documented rules what comes of it.
It must never look at how a run went.
"""

import random
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
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
    """Sets a tool's events everywhere or in one code object; of no tool: enables all disabled places."""

    tool: int | None
    events: frozenset[str] = frozenset()
    code: int | None = None
    """Which one. Any number is one of the program's, however few it has."""

    def __str__(self) -> str:
        where = "" if self.code is None else f" in code {self.code}"
        names = " ".join(event for event in EVENTS if event in self.events)
        return "restart" if self.tool is None else f"{self.tool}{where}: {names or 'nothing'}"


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

    def __str__(self) -> str:
        switched = (" | ".join(map(str, changes)) for changes in self.later)
        return "\n".join(
            [*map(str, self.first), *(f"switch: {each}" for each in switched), f"{self.rate}% disabled"]
        )

    def answer(self, tool: int, event: str, label: str, where: int, count: int) -> bool:
        """Whether a tool disables a place, when it is told of it for the so-manieth time."""
        if not self.rate or event not in LOCAL:
            return False
        text = f"{self.seed} {tool} {event} {label} {where} {count}"
        return zlib.crc32(text.encode()) % 100 < self.rate


@dataclass(frozen=True)
class Limits:
    """What plans may do."""

    events: Sequence[str] = EVENTS
    still: bool = False
    """Nothing is set while the program runs."""


def everything(seed: int, limits: Limits) -> Plan:
    """One tool that listens to all events."""
    return Plan(seed, [0], [Change(0, frozenset(limits.events))], [], 0)


def random_plan(seed: int, limits: Limits) -> Plan:
    """Any plan within the limits."""
    events = limits.events
    choose = random.Random(seed)
    tools = sorted(choose.sample(range(6), choose.choice((1, 1, 2, 3))))
    local = [event for event in events if event in LOCAL]

    def some(events: Sequence[str]) -> frozenset[str]:
        count = len(events) if choose.randrange(4) == 0 else choose.randint(0, len(events))
        return frozenset(choose.sample(events, count))

    def anywhere() -> Change:
        return Change(choose.choice(tools), some(events))

    def somewhere() -> Change:
        return Change(choose.choice(tools), some(local), choose.randrange(1000))

    def change() -> Change:
        return choose.choice((anywhere, anywhere, somewhere, somewhere, lambda: Change(None)))()

    first = [] if choose.randrange(3) == 0 else [Change(tool, some(events)) for tool in tools]
    first += [somewhere() for _ in range(choose.randrange(4))]
    later = [[change() for _ in range(choose.randint(1, 2))] for _ in range(choose.choice((0, 1, 3, 8)))]
    return Plan(seed, tools, first, [] if limits.still else later, choose.choice((0, 0, 5, 30, 80)))


@dataclass
class _State:
    """What is set and disabled while a program runs."""

    plan: Plan
    labels: Sequence[str]
    everywhere: dict[int, frozenset[str]] = field(default_factory=dict)
    local: dict[tuple[int, str], frozenset[str]] = field(default_factory=dict)
    disabled: set[tuple[int, str, str, int]] = field(default_factory=set)
    counts: Counter[tuple[int, str, str, int]] = field(default_factory=Counter)

    def apply(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.tool is None:
                self.disabled.clear()
            elif change.code is None:
                self.everywhere[change.tool] = change.events
            else:
                self.local[change.tool, pick(self.labels, change.code)] = change.events

    def listens(self, tool: int, event: str, label: str) -> bool:
        event = "CALL" if event in ENDS else event
        return event in self.everywhere.get(tool, ()) or event in self.local.get((tool, label), ())

    def hears(self, tool: int, happening: Happening) -> bool:
        event = "CALL" if happening.event in ENDS else happening.event
        is_disabled = (tool, event, happening.label, happening.place) in self.disabled
        return self.listens(tool, event, happening.label) and not is_disabled

    def tell(self, tool: int, happening: Happening) -> Told:
        key = (tool, happening.event, happening.label, happening.where)
        self.counts[key] += 1
        if self.plan.answer(*key, self.counts[key]):
            self.disabled.add((tool, happening.event, happening.label, happening.place))
        return (tool, happening.event, happening.label, happening.where, *happening.values)


def pick(labels: Sequence[str], number: int) -> str:
    """The label that a number in a plan stands for."""
    return labels[number % len(labels)]


def expected(plan: Plan, labels: Sequence[str], happenings: Iterable[Happening]) -> list[Told]:
    """What the tools are told of all that happens."""
    state = _State(plan, labels)
    state.apply(plan.first)
    changes = iter(plan.later)
    calls: dict[int, list[int]] = {}
    expected: list[Told] = []
    for happening in happenings:
        if happening.event == SWITCH:
            state.apply(next(changes, []))
            continue
        # Highest id first.
        tools = [tool for tool in reversed(plan.tools) if state.hears(tool, happening)]
        if happening.event in ENDS:
            # Who has monitored the call and still does; and one alone that has just disabled it.
            began = calls.pop(happening.frame, [])
            if len(began) == 1:
                tools = [tool for tool in began if state.listens(tool, happening.event, happening.label)]
            tools = [tool for tool in tools if tool in began]
        if happening.event == "CALL":
            calls[happening.frame] = tools
        expected += [state.tell(tool, happening) for tool in tools]
    return expected
