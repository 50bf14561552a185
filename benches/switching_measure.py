"""Measures what switching events on costs: started by switching.py, in a process of its own."""

import json
import random
import runpy
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from time import process_time_ns as clock
from typing import Any

from measure import (
    ALL,
    FAMILIES,
    PROGRAMS,
    PYTHON,
    TOOL_ID,
    argument_count,
    extension,
    find_event,
    find_monitoring,
)

EVENTS = {"LINE": FAMILIES["line"], "all events": ALL}

MODULES = (
    *("argparse", "ast", "asyncio.base_events", "asyncio.tasks", "configparser", "csv", "dataclasses"),
    *("datetime", "decimal", "difflib", "email.message", "fractions", "heapq", "http.client", "inspect"),
    *("json.decoder", "logging", "pathlib", "pickle", "random", "shutil", "statistics", "subprocess"),
    *("tarfile", "tempfile", "textwrap", "threading", "typing", "unittest.mock", "urllib.parse", "zipfile"),
)
"""Of the standard library: what is rewritten, as most programs import it."""


def nested(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and all in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from nested(constant)


def codes(modules: Iterable[str]) -> list[types.CodeType]:
    """All code objects of modules."""
    loaders = (import_module(module).__spec__.loader for module in modules)  # type: ignore[union-attr]
    pairs = zip(modules, loaders, strict=True)
    return [code for name, loader in pairs for code in nested(loader.get_code(name))]  # type: ignore[union-attr]


def functions(count: int) -> list[types.FunctionType]:
    """So many functions, each with code of its own: that of the benchmark's programs, again and again."""
    files = sorted(Path(PROGRAMS).glob("*.py"))
    found = [value for file in files for value in runpy.run_path(str(file)).values()]
    shapes = [value for value in found if isinstance(value, types.FunctionType)]
    made = []
    for number in range(count):
        shape = shapes[number % len(shapes)]
        made.append(types.FunctionType(shape.__code__.replace(co_name=f"f{number}"), {}))
    # Memory is not in the order of the functions, as it is not in programs.
    random.Random(0).shuffle(made)
    return made


def taken(do: Callable[[], object]) -> int:
    """The nanoseconds that it takes."""
    start = clock()
    do()
    return clock() - start


def switching(events: Iterable[str], count: int) -> dict[str, int]:
    """What `sys.monitoring`'s functions take while so many functions are alive."""
    monitoring = find_monitoring()
    alive = functions(count)
    monitoring.use_tool_id(TOOL_ID, "bench")
    wanted = 0
    for name in events:
        monitoring.register_callback(TOOL_ID, find_event(name), PYTHON[argument_count(name)])
        wanted |= find_event(name)

    def on() -> None:
        monitoring.set_events(TOOL_ID, wanted)

    def off() -> None:
        monitoring.set_events(TOOL_ID, 0)

    result = {
        "on": taken(on),
        "restart": taken(monitoring.restart_events),
        "off": taken(off),
        "again": taken(on),
    }
    off()
    result["later"] = taken(on)
    off()
    assert len(alive) == count
    return result


def rewriting(events: Iterable[str], modules: Iterable[str]) -> dict[str, Any]:
    """What rewriting takes by itself, and of how many code objects."""
    names = list(events)
    rewrite: Callable[[types.CodeType, list[str]], int | None] = extension().rewrite
    found = codes(modules)
    times = [rewrite(code, names) for code in found]
    if None in times:
        raise ValueError("code of the standard library is refused")
    # The second time: memory and branch predictor are warm, as they are while there is much to do.
    return {"codes": len(found), "nanoseconds": sum(rewrite(code, names) or 0 for code in found)}


def main() -> None:
    """Arguments: what, the events, and how many functions, or modules."""
    what, events, count = sys.argv[1:]
    wanted = EVENTS[events]
    result = (
        switching(wanted, int(count)) if what == "switching" else rewriting(wanted, MODULES[: int(count)])
    )
    print(json.dumps(result))
