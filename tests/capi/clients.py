"""Runs one client of sys.monitoring over code-likes that fire events, and prints what it made of them.

`python clients.py CLIENT PRODUCER RULES`, where RULES is the file that the code-likes are of. The clients
come as they are; each is used as its own users do. This must not need pytest, nor judge.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import build
import monitrace
from scopes import FUNCTIONS, Scope

BY_EVENT = {function.event: function for function in FUNCTIONS}
EVENTS = ("PY_START", "LINE", "BRANCH_LEFT", "BRANCH_RIGHT", "JUMP", "PY_RETURN")

Branch = tuple[int, int, int]


class Rule:
    """A function of a language with Python's syntax; to profilers, a function."""

    def __init__(self, producer: Any, path: str, name: str, lines: list[int], branches: list[Branch]) -> None:
        self.lines = lines
        self.__name__ = name
        self.__code__: Any = monitrace.CodeLike(
            name,
            path,
            lines[0],
            qualname=f"shop.{name}",
            # A line to each unit, and one unit for the way in.
            positions=[(line, line, None, None) for line in lines],
            branches=branches,
            disable="offset",
        )
        self.__globals__ = {"__file__": __file__}
        self.scope = Scope(producer, *EVENTS, code_like=self.__code__)

    def fire(self, event: str, offset: int, *values: object) -> None:
        """Fire one event."""
        function = BY_EVENT[event]
        self.scope.fire(function, offset=offset, values=values or function.values)

    def run(self, *indices: int) -> None:
        """Run the lines of these indices, with the branches between them."""
        branches = {branch[0]: branch for branch in self.__code__.co_branches()}
        with self.scope:
            self.fire("PY_START", 0)
            for index, following in zip(indices, (*indices[1:], None), strict=True):
                self.fire("LINE", 2 * index, self.lines[index])
                branch = branches.get(2 * index)
                if branch and following is not None:
                    side = "BRANCH_LEFT" if branch[1] == 2 * following else "BRANCH_RIGHT"
                    self.fire(side, 2 * index, 2 * following)
            self.fire("PY_RETURN", 2 * indices[-1], None)


def price(producer: Any, path: str) -> Rule:
    """The rule on the first lines of RULES."""
    return Rule(producer, path, "price", [1, 2, 3, 4, 5, 6, 7], [(2, 4, 6), (6, 8, 10)])


def run(rule: Rule) -> None:
    """Lines 2, 4, 6 and 7 run, 3 and 5 do not; four times, for what is disabled to come again if it does."""
    for _ in range(4):
        rule.run(1, 3, 5, 6)


def coverage_report(rule: Rule, *, branch: bool) -> Any:
    """What coverage.py's sysmon core says of the file."""
    import coverage

    cov = coverage.Coverage(
        data_file=None, config_file=False, branch=branch, include=[rule.__code__.co_filename]
    )
    cov.set_option("run:core", "sysmon")
    cov.start()
    run(rule)
    cov.stop()
    collector = cov._collector
    assert collector is not None
    core = collector.tracer_name()
    path = f"{rule.__code__.co_filename}.json"
    cov.json_report(outfile=path)
    (report,) = json.loads(Path(path).read_text())["files"].values()
    kinds = ("executed_lines", "missing_lines", "executed_branches", "missing_branches")
    return {"core": core} | {kind: report[kind] for kind in kinds if kind in report}


def coverage_lines(rule: Rule) -> Any:
    """Lines, on every version."""
    return coverage_report(rule, branch=False)


def coverage_branches(rule: Rule) -> Any:
    """Branches, which its sysmon core can tell from 3.14 on."""
    return coverage_report(rule, branch=True)


def bdb_lines(rule: Rule) -> Any:
    """The debugger over sys.monitoring: it asks for a code object's lines by offset, and for local events."""
    import bdb

    monitoring = monitrace.monitoring
    debugger = bdb.Bdb(backend="monitoring")  # type: ignore[call-arg,unused-ignore]
    events = []

    def debugged() -> None:
        run(rule)
        with rule.scope:
            rule.fire("JUMP", 8, 2)
        events.append(monitoring.get_local_events(monitoring.DEBUGGER_ID, rule.__code__))

    debugger.runcall(debugged)
    tracer: Any = debugger.monitoring_tracer  # type: ignore[attr-defined,unused-ignore]
    return {
        "local": events == [tracer.LOCAL_EVENTS],
        "lines": [tracer._get_lineno(rule.__code__, offset) for offset in range(0, 14, 2)],
    }


def line_profiler_hits(rule: Rule) -> Any:
    """How often it saw each line. It reads code-likes as C's struct of a code object."""
    from line_profiler import LineProfiler

    profiler: Any = LineProfiler()
    profiler.add_function(rule)
    profiler.enable()
    run(rule)
    profiler.disable()
    timings = profiler.get_stats().timings
    return [
        [name, first, sorted([line, hits] for line, hits, _ in hits_of)]
        for (_, first, name), hits_of in timings.items()
    ]


def hypothesis_branches(rule: Rule) -> Any:
    """The lines that its explain phase saw, each after the one before."""
    from hypothesis.internal.scrutineer import Tracer

    with Tracer(should_trace=True) as tracer:
        run(rule)
    path = rule.__code__.co_filename
    lines = {pair[1][1] for pair in tracer.branches if pair[1] and pair[1][0] == path}
    return sorted(lines)


def cprofile_calls(rule: Rule) -> Any:
    """How often it saw a call of the rule."""
    import cProfile
    import pstats

    profile = cProfile.Profile()
    profile.enable()
    run(rule)
    profile.disable()
    stats: Any = pstats.Stats(profile)
    path = rule.__code__.co_filename
    return [[line, name, entry[0]] for (file, line, name), entry in stats.stats.items() if file == path]


CLIENTS: dict[str, Callable[[Rule], Any]] = {
    client.__name__: client
    for client in (
        coverage_lines,
        coverage_branches,
        bdb_lines,
        line_profiler_hits,
        hypothesis_branches,
        cprofile_calls,
    )
}


def main(client: str, module: str, path: str) -> None:
    """Run one client."""
    # Before the client is imported: some look then.
    monitrace.install()
    print(json.dumps(CLIENTS[client](price(build.load(Path(module)), path))))


if __name__ == "__main__":
    main(*sys.argv[1:])
