"""Local events of code-likes, seen from the code that fires them."""

import gc
import weakref
from collections.abc import Iterator
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


def test_events_of_one_code_like_are_not_anothers(producer: ModuleType, told: list[object]) -> None:
    mine, other = CodeLike(), CodeLike()
    monitoring.set_local_events(TOOL, mine, EVENT)
    assert monitoring.get_local_events(TOOL, mine) == EVENT
    assert monitoring.get_local_events(TOOL, other) == 0
    fire(producer, mine)
    fire(producer, other)
    assert told == [mine]
    monitoring.set_local_events(TOOL, mine, 0)
    fire(producer, mine)
    assert told == [mine]


def test_code_like_that_dies_takes_its_events_along(producer: ModuleType, told: list[object]) -> None:
    code_like = CodeLike()
    monitoring.set_local_events(TOOL, code_like, EVENT)
    gone = weakref.ref(code_like)
    del code_like
    gc.collect()
    assert gone() is None
    for _ in range(100):
        fire(producer, CodeLike())
    assert told == []


def test_tool_that_is_freed_wants_nothing(producer: ModuleType, told: list[object]) -> None:
    code_like = CodeLike()
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


def test_tool_that_is_not_in_use_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^tool 2 is not in use$"):
        monitoring.set_local_events(TOOL, CodeLike(), EVENT)
    assert monitoring.get_local_events(TOOL, CodeLike()) == 0


def test_scopes_stay_up_to_date_while_there_are_local_events(
    producer: ModuleType, told: list[object]
) -> None:
    code_like = CodeLike()
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
    producer: ModuleType, told: list[object]
) -> None:
    running = Scope(producer, "LINE")
    monitoring.set_events(TOOL, EVENT)
    running.enter()
    other = CodeLike()
    monitoring.set_local_events(TOOL, other, EVENT)
    running.fire(LINE)
    assert told.count(running.code_like) == 1
    monitoring.set_events(TOOL, 0)
