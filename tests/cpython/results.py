"""What CPython's own tests say with events on and without, and the named differences between the two.

Owns the list of modules, the differences' format and the command that writes them. It must never write a
reason: that takes somebody who looked.
"""

import argparse
import difflib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

HERE = Path(__file__).parent

MODULES = (
    "test_ast",
    "test_asyncgen",
    "test_baseexception",
    "test_bdb",
    "test_builtin",
    "test_call",
    "test_class",
    "test_codeop",
    "test_collections",
    "test_compile",
    "test_context",
    "test_contextlib",
    "test_contextlib_async",
    "test_copy",
    "test_coroutines",
    "test_cprofile",
    "test_dataclasses",
    "test_decimal",
    "test_defaultdict",
    "test_descr",
    "test_dict",
    "test_dis",
    "test_doctest",
    "test_dynamicclassattribute",
    "test_enum",
    "test_except_star",
    "test_exception_group",
    "test_exception_variations",
    "test_exceptions",
    "test_extcall",
    "test_frame",
    "test_fstring",
    "test_funcattrs",
    "test_functools",
    "test_gc",
    "test_generator_stop",
    "test_generators",
    "test_genexps",
    "test_global",
    "test_grammar",
    "test_import",
    "test_inspect",
    "test_isinstance",
    "test_iter",
    "test_itertools",
    "test_json",
    "test_keywordonlyarg",
    "test_listcomps",
    "test_marshal",
    "test_metaclass",
    "test_named_expressions",
    "test_opcache",
    "test_operator",
    "test_ordered_dict",
    "test_patma",
    "test_pdb",
    "test_peepholer",
    "test_positional_only_arg",
    "test_profile",
    "test_property",
    "test_raise",
    "test_re",
    "test_runpy",
    "test_scope",
    "test_string_literals",
    "test_subclassinit",
    "test_super",
    "test_syntax",
    "test_sys",
    "test_sys_setprofile",
    "test_sys_settrace",
    "test_threading",
    "test_threading_local",
    "test_trace",
    "test_traceback",
    "test_types",
    "test_typing",
    "test_unittest",
    "test_unpack",
    "test_unpack_ex",
    "test_userdict",
    "test_weakref",
    "test_weakset",
    "test_with",
    "test_yield_from",
)
"""Those of `Lib/test` that lean most on what rewriting could break, and cheap ones of the rest of the
language.

Not test_code: it has a Python function called for every code object that holds extra data and goes, the
interpreter's last ones too, and ours hold some. Not test_tracemalloc: it counts what is allocated. Not those
that wait or repeat much and so take long: test_asyncio, test_pickle, test_set, test_signal.
"""

TIMEOUT = 300
"""Seconds for one module."""


def missing() -> str:
    """Why the tests cannot be run here; empty if they can."""
    if sys.version_info[:2] != (3, 11):
        return "from 3.12 on the interpreter makes the events itself"
    if find_spec("test.libregrtest") is None:
        return "this interpreter came without its own tests"
    return ""


@dataclass(frozen=True)
class Difference:
    """What the events change in a module's results, and why."""

    reason: str
    diff: str


def difference_path(module: str) -> Path:
    """Where a module's difference is, if it has one."""
    return HERE / "differences" / f"{module}.diff"


def difference(module: str) -> Difference:
    """The named difference; an empty one where there is no file."""
    path = difference_path(module)
    if not path.exists():
        return Difference("", "")
    reason, _, diff = path.read_text().partition("\n--- ")
    return Difference(reason.strip(), f"--- {diff}")


def run(module: str, folder: Path, *, events: bool) -> list[str]:
    """The result of each of a module's tests, from a process of its own."""
    report, told = folder / "results.xml", folder / "events.json"
    command = [sys.executable, str(HERE / "driver.py")]
    if events:
        command += ["--events", str(told)]
    command += ["--junit-xml", str(report), module]
    report.unlink(missing_ok=True)
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False
    )
    if done.returncode < 0 or not report.exists():
        raise RuntimeError(f"{module} ended with status {done.returncode}\n{done.stdout}{done.stderr}")
    if events and (faults := missed(json.loads(told.read_text()))):
        raise RuntimeError(f"{module} ran without events: {faults}")
    cases = ElementTree.parse(report).iter("testcase")
    # What fails in a subtest alone is written without its name: it is missed where it is not.
    named = ((case.get("name"), _outcome(case)) for case in cases)
    return sorted(f"{name}: {outcome}\n" for name, outcome in named if name)


def missed(told: Any) -> str:
    """Which events did not happen, by what the driver told. Empty if all did: the runner alone makes each."""
    never = [event for event, number in told["counts"].items() if not number]
    faults = (("never seen", never), ("not seen any more at the end", told["silent"]))
    return "; ".join(f"{', '.join(events)} {fault}" for fault, events in faults if events)


def _outcome(case: ElementTree.Element) -> str:
    found = {child.tag for child in case} & {"failure", "error", "skipped"}
    return " and ".join(sorted(found)) or "passed"


def compare(module: str) -> str:
    """The diff from the module's plain results to those with events; empty if they are equal."""
    with tempfile.TemporaryDirectory() as folder:
        plain = run(module, Path(folder), events=False)
        rewritten = run(module, Path(folder), events=True)
    diff = difflib.unified_diff(plain, rewritten, "plain", "events", n=0)
    # Without positions, which other tests of the module would change.
    return "".join(line for line in diff if not line.startswith("@@"))


@contextmanager
def comparisons(modules: Iterable[str]) -> Iterator[dict[str, Future[str]]]:
    """The diffs of many modules, on their way: as many at once as there are processors."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield {module: pool.submit(compare, module) for module in modules}
    finally:
        pool.shutdown(cancel_futures=True)


def main() -> None:
    """The command line: write the differences. A reason is kept only while its diff stays the same."""
    parser = argparse.ArgumentParser(description="Write the differences that events make to CPython's tests.")
    parser.add_argument("modules", nargs="*", metavar="test_MODULE", help="all of the list by default")
    if reason := missing():
        parser.error(reason)
    with comparisons(parser.parse_args().modules or MODULES) as diffs:
        for module, future in diffs.items():
            diff, path = future.result(), difference_path(module)
            if not diff:
                path.unlink(missing_ok=True)
            elif diff != difference(module).diff:
                path.write_text("\n" + diff)
                print(f"{path.relative_to(HERE)}: give its reason above the diff")


if __name__ == "__main__":
    main()
