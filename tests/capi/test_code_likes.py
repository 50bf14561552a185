"""Local events of code-likes, the program's own and ours, seen from the code that fires them."""

import gc
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import build
import monitrace
import pytest
from scopes import FUNCTIONS, CodeLike, Scope

TOOL = 2
LINE = next(function for function in FUNCTIONS if function.event == "LINE")
monitoring = monitrace.install()
EVENT = monitoring.events.LINE


@pytest.fixture(scope="module")
def producer(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return build.load(build.compile_module(build.HERE / "producer.c", tmp_path_factory.mktemp("local")))


Make = Callable[[], object]


def ours() -> monitrace.CodeLike:
    return monitrace.CodeLike("work", "shop.tmpl", 7)


@pytest.fixture(params=[CodeLike, ours], ids=["foreign", "ours"])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes a code-like of some kind."""
    made: Make = request.param
    return made


@pytest.fixture
def told() -> Iterator[list[object]]:
    """Whose lines the tool is told of."""
    told: list[object] = []
    monitoring.use_tool_id(TOOL, "local")
    monitoring.register_callback(TOOL, EVENT, lambda code, _line: told.append(code))
    yield told
    monitoring.register_callback(TOOL, EVENT, None)
    monitoring.free_tool_id(TOOL)


def fire(producer: ModuleType, code_like: object) -> None:
    with Scope(producer, "LINE", code_like=code_like) as scope:
        scope.fire(LINE)


def test_events_of_one_code_like_are_not_anothers(
    producer: ModuleType, told: list[object], make: Make
) -> None:
    mine, other = make(), make()
    monitoring.set_local_events(TOOL, mine, EVENT)
    assert monitoring.get_local_events(TOOL, mine) == EVENT
    assert monitoring.get_local_events(TOOL, other) == 0
    fire(producer, mine)
    fire(producer, other)
    assert told == [mine]
    monitoring.set_local_events(TOOL, mine, 0)
    fire(producer, mine)
    assert told == [mine]


def test_code_like_that_dies_takes_its_events_along(
    producer: ModuleType, told: list[object], make: Make
) -> None:
    code_like = make()
    monitoring.set_local_events(TOOL, code_like, EVENT)
    gone = weakref.ref(code_like)
    del code_like
    gc.collect()
    assert gone() is None
    for _ in range(100):
        fire(producer, make())
    assert told == []


def test_tool_that_is_freed_wants_nothing(producer: ModuleType, told: list[object], make: Make) -> None:
    code_like = make()
    monitoring.set_local_events(TOOL, code_like, EVENT)
    monitoring.free_tool_id(TOOL)
    monitoring.use_tool_id(TOOL, "local")
    monitoring.register_callback(TOOL, EVENT, lambda code, _line: told.append(code))
    assert monitoring.get_local_events(TOOL, code_like) == 0
    fire(producer, code_like)
    assert told == []


@pytest.mark.parametrize("thing", [None, 1, "code", object(), Path()])
def test_other_things_are_refused(told: list[object], thing: object) -> None:
    with pytest.raises(TypeError, match="code must be a code object"):
        monitoring.set_local_events(TOOL, thing, EVENT)
    with pytest.raises(TypeError, match="code must be a code object"):
        monitoring.get_local_events(TOOL, thing)
    assert told == []


def test_tool_that_is_not_in_use_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match=r"^tool 2 is not in use$"):
        monitoring.set_local_events(TOOL, make(), EVENT)
    assert monitoring.get_local_events(TOOL, make()) == 0


def test_scopes_stay_up_to_date_while_there_are_local_events(
    producer: ModuleType, told: list[object], make: Make
) -> None:
    code_like = make()
    monitoring.set_local_events(TOOL, code_like, EVENT)
    scopes = [Scope(producer, "LINE", code_like=code_like) for _ in range(2)]
    versions = []
    for _ in range(3):
        for scope in scopes:
            scope.enter()
            versions.append(scope.version)
    # Looking for tools that were cleared must not look like another change.
    assert len(set(versions)) == 1
    assert told == []


def test_local_events_take_nothing_from_a_scope_that_was_entered(
    producer: ModuleType, told: list[object], make: Make
) -> None:
    running = Scope(producer, "LINE")
    monitoring.set_events(TOOL, EVENT)
    running.enter()
    other = make()
    monitoring.set_local_events(TOOL, other, EVENT)
    running.fire(LINE)
    assert told.count(running.code_like) == 1
    monitoring.set_events(TOOL, 0)


def test_tools_are_told_apart(producer: ModuleType, told: list[object], make: Make) -> None:
    high: list[object] = []
    monitoring.use_tool_id(TOOL + 1, "high")
    monitoring.register_callback(TOOL + 1, EVENT, lambda code, _line: high.append(code))
    one, other = make(), make()
    monitoring.set_local_events(TOOL, one, EVENT)
    monitoring.set_local_events(TOOL, other, EVENT)
    monitoring.set_local_events(TOOL + 1, other, EVENT | monitoring.events.PY_RETURN)
    fire(producer, one)
    fire(producer, other)
    assert (told, high) == ([one, other], [other])
    assert monitoring.get_local_events(TOOL + 1, one) == 0
    assert monitoring.get_local_events(TOOL + 1, other) == EVENT | monitoring.events.PY_RETURN
    monitoring.register_callback(TOOL + 1, EVENT, None)
    monitoring.free_tool_id(TOOL + 1)
    fire(producer, other)
    assert (told, high) == ([one, other, other], [other])
    assert monitoring.get_local_events(TOOL + 1, other) == 0
    assert monitoring.get_local_events(TOOL, other) == EVENT


def test_call_brings_its_ends_along_and_shows_none(told: list[object], make: Make) -> None:
    code_like, events = make(), monitoring.events
    whole = events.CALL | events.C_RETURN | events.C_RAISE
    monitoring.set_local_events(TOOL, code_like, whole)
    assert monitoring.get_local_events(TOOL, code_like) == events.CALL
    assert told == []


def test_scope_is_active_as_long_as_some_code_like_is(
    producer: ModuleType, told: list[object], make: Make
) -> None:
    def active() -> tuple[int, ...]:
        with Scope(producer, "LINE") as scope:
            return scope.active

    assert active() == (0,)
    code_likes = [make() for _ in range(3)]
    for code_like in code_likes:
        monitoring.set_local_events(TOOL, code_like, EVENT)
        # Twice is once.
        monitoring.set_local_events(TOOL, code_like, EVENT)
    assert active() == (1 << TOOL,)
    monitoring.set_local_events(TOOL, code_likes[0], 0)
    del code_like
    code_likes.pop()
    gc.collect()
    assert active() == (1 << TOOL,)
    # What a tool that is gone wanted is not counted twice.
    monitoring.free_tool_id(TOOL)
    assert active() == (0,)
    monitoring.use_tool_id(TOOL, "local")
    monitoring.set_local_events(TOOL, code_likes[1], EVENT)
    code_likes.pop(0)
    gc.collect()
    assert active() == (1 << TOOL,)
    code_likes.clear()
    gc.collect()
    assert active() == (0,)
    assert told == []


def test_local_events_that_are_set_anew_come_again(
    producer: ModuleType, told: list[object], make: Make
) -> None:
    def callback(code: object, _line: int) -> object:
        told.append(code)
        return monitoring.DISABLE

    monitoring.register_callback(TOOL, EVENT, callback)
    code_like, keeper = make(), make()
    # So that no scope is filled anew only because it becomes active.
    monitoring.set_local_events(TOOL, keeper, EVENT)
    scope = Scope(producer, "LINE", code_like=code_like)
    for count in range(1, 4):
        monitoring.set_local_events(TOOL, code_like, EVENT)
        for _ in range(3):
            with scope:
                scope.fire(LINE)
        assert told == [code_like] * count
        monitoring.set_local_events(TOOL, code_like, 0)


def test_number_of_code_likes_does_not_matter(producer: ModuleType, told: list[object], make: Make) -> None:
    scope = Scope(producer, "LINE")

    def set_up(code_likes: list[object]) -> float:
        began = time.perf_counter()
        for code_like in code_likes:
            monitoring.set_local_events(TOOL, code_like, EVENT)
            scope.enter()
        return time.perf_counter() - began

    code_likes = [[make() for _ in range(250)] for _ in range(60)]
    times = [set_up(some) for some in code_likes]
    # The fastest of several, for the machine may be busy. A walk over all would be some 50 times slower.
    assert min(times[-10:]) < 10 * min(times[:10])
    assert told == []


def test_last_local_events_that_go_are_gone_in_a_running_scope(
    producer: ModuleType, told: list[object], make: Make
) -> None:
    code_like = make()
    monitoring.set_local_events(TOOL, code_like, EVENT)
    with Scope(producer, "LINE", code_like=code_like) as scope:
        scope.fire(LINE)
        monitoring.set_local_events(TOOL, code_like, 0)
        scope.fire(LINE)
        # Nor are they anybody else's.
        scope.fire(LINE, code_like=make())
    assert told == [code_like]


def test_scope_that_was_entered_before_goes_back_to_global_events(
    producer: ModuleType, told: list[object], make: Make
) -> None:
    code_like = make()
    scope = Scope(producer, "LINE", code_like=make())
    for _ in range(2):
        monitoring.set_local_events(TOOL, code_like, EVENT)
        with scope:
            scope.fire(LINE)
        monitoring.set_local_events(TOOL, code_like, 0)
        monitoring.set_events(TOOL, EVENT)
        with scope:
            scope.fire(LINE)
        monitoring.set_events(TOOL, 0)
        # Once globally, and not for the other's sake; the test itself is told of too.
        assert told.count(scope.code_like) == 1
        told.clear()
