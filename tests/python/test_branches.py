"""The sides of branches, and clearing tools, where the interpreter has neither.

`branch_sides.txt` was recorded by CPython 3.14: `python3.14 branch_sides.py > branch_sides.txt`.
"""

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import monitrace
import pytest

HERE = Path(__file__).parent
TOOL, OTHER = 2, 4

before_3_14 = pytest.mark.skipif(sys.version_info >= (3, 14), reason="the interpreter has it from 3.14 on")
over_native = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="3.11 has no sys.monitoring of its own that is completed"
)

monitoring: Any = monitrace.install()
events = monitoring.events
LEFT, RIGHT, BRANCH = events.BRANCH_LEFT, events.BRANCH_RIGHT, events.BRANCH


def python(source: str) -> str:
    """What a program prints, run on its own."""
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def work(n: int) -> int:
    total = 0
    for each in range(n):
        if each % 2:
            total += each
    return total


@pytest.fixture(autouse=True)
def tools() -> Iterator[None]:
    for tool in (TOOL, OTHER):
        monitoring.use_tool_id(tool, "branches")
    yield
    for tool in (TOOL, OTHER):
        monitoring.free_tool_id(tool)
    monitoring.restart_events()


class Told(list[tuple[int, int]]):
    """A callback that keeps the offsets that it is told of `work`."""

    answer: object = None

    def __call__(self, code: CodeType, offset: int, destination: int) -> object:
        if code is work.__code__:
            self.append((offset, destination))
            return self.answer
        return None


def listen(**callbacks: Told) -> None:
    for name, callback in callbacks.items():
        monitoring.register_callback(TOOL, getattr(events, name), callback)


@pytest.mark.skipif(
    sys.version_info < (3, 12),
    reason="3.11 turns the last branch of a loop round, lets ways share a jump without a line, and has "
    "comprehensions in functions of their own",
)
def test_sides_are_told_as_on_3_14() -> None:
    command = [sys.executable, str(HERE / "branch_sides.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == (HERE / "branch_sides.txt").read_text().splitlines()


# What 3.14 tells to callbacks for BRANCH leaves out events that it ought to tell of.
@before_3_14
def test_callback_of_both_sides_is_told_what_those_of_each_are() -> None:
    left, right, both = Told(), Told(), Told()
    listen(BRANCH_LEFT=left, BRANCH_RIGHT=right)
    monitoring.set_events(TOOL, BRANCH)
    monitoring.register_callback(OTHER, BRANCH, both)
    for wanted, told in ((BRANCH, (left, right)), (LEFT, (left,)), (RIGHT, (right,))):
        for each in (left, right, both):
            each.clear()
        monitoring.set_events(OTHER, wanted)
        work(5)
        assert sorted(both) == sorted(chain(*told))
        assert all(told)


@before_3_14
@over_native
def test_callback_of_both_sides_is_registered_as_it_is() -> None:
    source = """if True:
        import sys
        register = sys.monitoring.register_callback
        import monitrace
        monitoring = monitrace.install()
        E = monitoring.events
        monitoring.use_tool_id(1, "x")
        monitoring.register_callback(1, E.BRANCH, print)
        monitoring.set_events(1, E.BRANCH)
        print(register(1, E.BRANCH, len) is print)
        # What was registered natively, or before, counts for both sides.
        print(monitoring.register_callback(1, E.BRANCH_LEFT, None), register(1, E.BRANCH, None) is not len)
        register(1, E.BRANCH, len)
        print(monitoring.register_callback(1, E.BRANCH_RIGHT, repr))
        print(monitoring.register_callback(1, E.BRANCH, print), register(1, E.BRANCH, None))
    """
    assert python(source).splitlines() == [
        "True",
        "<built-in function len> True",
        "<built-in function len>",
        "<built-in function len> <built-in function print>",
    ]


@before_3_14
@over_native
def test_namespace_is_put_back() -> None:
    source = """if True:
        import sys
        def everything():
            of_code = dir(type(everything.__code__))
            names = sorted(vars(sys.monitoring).items(), key=str)
            return names, sorted(vars(sys.monitoring.events)), of_code
        before = everything()
        import monitrace
        print(everything() == before)
        monitoring = monitrace.install()
        print(everything() == before)
        monitoring.use_tool_id(1, "left")
        monitoring.use_tool_id(2, "lines")
        monitoring.use_tool_id(3, "right")
        monitoring.set_events(1, monitoring.events.BRANCH_LEFT)
        monitoring.set_events(2, monitoring.events.LINE)
        monitoring.register_callback(3, monitoring.events.BRANCH_RIGHT, print)
        try:
            monitrace.uninstall()
        except RuntimeError as error:
            print(error)
        print(everything() == before)
        monitoring.free_tool_id(1)
        monitoring.register_callback(3, monitoring.events.BRANCH_RIGHT, None)
        monitrace.uninstall()
        print(everything() == before)
        monitrace.install()
        print(hasattr(monitoring.events, "BRANCH_LEFT"))
    """
    refusal = "cannot uninstall while tools are in use: 1 (left), 3 (right)"
    assert python(source).splitlines() == ["True", "False", refusal, "False", "True", "True"]


@before_3_14
def test_code_objects_have_a_table_while_it_is_installed() -> None:
    source = """if True:
        import monitrace
        def has_table():
            return hasattr(has_table.__code__, "co_branches")
        print(has_table())
        monitrace.install()
        print(has_table())
        monitrace.uninstall()
        print(has_table())
    """
    assert python(source).split() == ["False", "True", "False"]


def test_table_of_branches_says_where_they_go() -> None:
    left, right = Told(), Told()
    listen(BRANCH_LEFT=left, BRANCH_RIGHT=right)
    monitoring.set_events(TOOL, BRANCH)
    work(3)
    code: Any = work.__code__
    table = list(code.co_branches())
    assert set(left) == {(branch, to_left) for branch, to_left, _ in table}
    assert set(right) == {(branch, to_right) for branch, _, to_right in table}


def test_table_of_long_jumps() -> None:
    body = "        total += each\n" * 300
    names: dict[str, Any] = {}
    exec(f"def work(n):\n  total = 0\n  for each in range(n):\n    if each:\n{body}  return total\n", names)
    long = names["work"]
    told = set()

    def callback(code: CodeType, offset: int, destination: int) -> None:
        if code is long.__code__:
            told.add((offset, destination))

    monitoring.register_callback(TOOL, LEFT, callback)
    monitoring.register_callback(TOOL, RIGHT, callback)
    monitoring.set_events(TOOL, LEFT | RIGHT)
    long(2)
    table = list(long.__code__.co_branches())
    assert any(right - branch > 2 * 255 for branch, _, right in table)
    assert told == {(branch, to) for branch, *sides in table for to in sides}


def test_nothing_stands_between_the_program_and_its_callback() -> None:
    callers = set()

    def callback(code: CodeType, *_: int) -> None:
        if code is work.__code__:
            callers.add(sys._getframe(1).f_code)

    monitoring.register_callback(TOOL, LEFT, callback)
    monitoring.set_events(TOOL, LEFT)
    work(3)
    assert callers == {work.__code__}


def test_error_of_a_callback_comes_out_of_the_branch() -> None:
    def callback(code: CodeType, *_: int) -> None:
        if code is work.__code__:
            raise LookupError("callback")

    monitoring.register_callback(TOOL, RIGHT, callback)
    monitoring.set_local_events(TOOL, work.__code__, RIGHT)
    with pytest.raises(LookupError, match=r"^callback$") as caught:
        work(3)
    assert caught.traceback[-2].name == "work"


def test_audit_hooks_are_told_of_the_callback_first() -> None:
    source = """if True:
        import sys, monitrace
        monitoring = monitrace.install()
        def hook(event, args):
            if event == "sys.monitoring.register_callback" and heard is not None:
                heard.append(args)
                if refuse:
                    raise PermissionError("no")
        heard = None
        refuse = False
        sys.addaudithook(hook)
        heard = []
        monitoring.register_callback(1, monitoring.events.BRANCH_LEFT, print)
        print(heard[0])
        refuse = True
        try:
            monitoring.register_callback(1, monitoring.events.BRANCH_LEFT, len)
        except PermissionError as error:
            print(error)
        refuse = False
        print(monitoring.register_callback(1, monitoring.events.BRANCH_LEFT, None))
    """
    lines = python(source).splitlines()
    assert lines == ["(<built-in function print>,)", "no", "<built-in function print>"]


def test_callback_may_change_the_callbacks() -> None:
    told = []

    class Restless:
        """Registers another when it is called, and when it goes."""

        def __call__(self, code: CodeType, *_: int) -> None:
            if code is work.__code__:
                told.append("called")
                monitoring.register_callback(TOOL, LEFT, None)

        def __del__(self) -> None:
            told.append("gone")
            monitoring.register_callback(TOOL, LEFT, None)
            monitoring.set_events(TOOL, RIGHT)

    monitoring.register_callback(TOOL, LEFT, Restless())
    monitoring.set_events(TOOL, LEFT)
    work(3)
    assert told == ["called", "gone"]
    assert monitoring.get_events(TOOL) == RIGHT


def test_code_is_not_kept_alive() -> None:
    made = FunctionType(work.__code__.replace(co_name="made"), {"range": range})
    gone = weakref.ref(made.__code__)
    monitoring.register_callback(TOOL, LEFT, lambda *_: monitoring.DISABLE)
    monitoring.set_local_events(TOOL, made.__code__, LEFT)
    monitoring.set_events(TOOL, LEFT)
    made(5)
    del made
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("name", ["clear_tool_id", "free_tool_id"])
def test_tool_that_is_cleared_forgets_everything(name: str) -> None:
    told = Told()
    listen(BRANCH_LEFT=told, BRANCH_RIGHT=told)
    for event in (events.LINE, events.PY_START):
        monitoring.register_callback(TOOL, event, print)
    monitoring.set_events(TOOL, LEFT | events.LINE)
    monitoring.set_local_events(TOOL, work.__code__, RIGHT | events.LINE)
    getattr(monitoring, name)(TOOL)
    if name == "free_tool_id":
        assert monitoring.get_tool(TOOL) is None
        monitoring.use_tool_id(TOOL, "again")
    assert monitoring.get_tool(TOOL) in ("branches", "again")
    assert monitoring.get_events(TOOL) == 0
    work(3)
    assert monitoring.get_local_events(TOOL, work.__code__) == 0
    assert told == []
    every = [bit for name, bit in vars(events).items() if name != "NO_EVENTS"]
    assert [monitoring.register_callback(TOOL, event, None) for event in every] == [None] * len(every)


def test_events_of_other_tools_stay_when_one_is_cleared() -> None:
    told = Told()
    monitoring.register_callback(OTHER, LEFT, told)
    monitoring.set_local_events(OTHER, work.__code__, LEFT)
    monitoring.set_local_events(TOOL, work.__code__, BRANCH)
    monitoring.clear_tool_id(TOOL)
    assert monitoring.get_local_events(OTHER, work.__code__) == LEFT
    work(3)
    assert told


def test_what_one_tool_disabled_is_another_tools() -> None:
    mine, others = Told(), Told()
    mine.answer = monitoring.DISABLE
    listen(BRANCH_LEFT=mine, BRANCH_RIGHT=mine)
    monitoring.set_events(TOOL, LEFT)
    monitoring.register_callback(OTHER, BRANCH, others)
    monitoring.set_local_events(OTHER, work.__code__, BRANCH)
    work(4)
    assert len(mine) == 2
    heard = len(others)
    # Wanting more brings nothing of the other tool back, nor takes anything from it.
    others.answer = monitoring.DISABLE
    work(4)
    others.clear()
    monitoring.set_events(TOOL, BRANCH)
    work(4)
    assert len(mine) == 2 + 2
    assert len(others) < heard
