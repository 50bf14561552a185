"""DISABLE at one offset, for code-likes that ask for it; and how they live and die while events fire."""

import gc
import random
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import build
import monitrace
import pytest
from monitrace import CodeLike
from scopes import FUNCTIONS, Function, Scope

monitoring = monitrace.install()
EVENTS = monitoring.events
TOOL, OTHER = 2, 4
BY_NAME = {function.name: function for function in FUNCTIONS}
START, LINE, CALL, C_RETURN = (BY_NAME[f"fire_{name}"] for name in ("py_start", "line", "call", "c_return"))
END = 40

Told = list[tuple[Any, ...]]


def code_like(disable: Any = "offset") -> CodeLike:
    return CodeLike("work", "shop.rules", lines=[(0, END, 1)], disable=disable)


@pytest.fixture(scope="module")
def producer(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return build.load(build.compile_module(build.HERE / "producer.c", tmp_path_factory.mktemp("offsets")))


@pytest.fixture(autouse=True)
def tools() -> Iterator[None]:
    for tool in (TOOL, OTHER):
        monitoring.use_tool_id(tool, "offsets")
    yield
    for tool in (TOOL, OTHER):
        if monitoring.get_tool(tool):
            monitoring.set_events(tool, 0)
        for name, bit in vars(EVENTS).items():
            if name != "NO_EVENTS":
                monitoring.register_callback(tool, bit, None)
        monitoring.free_tool_id(tool)


def listen(function: Function, tool: int = TOOL, answer: object = monitoring.DISABLE) -> Told:
    """Registers a callback that answers so. What it is told of code-likes."""
    told: Told = []

    def callback(code: object, *arguments: object) -> object:
        # The tests fire events too.
        if not isinstance(code, CodeLike):
            return None
        told.append(arguments)
        return answer

    monitoring.register_callback(tool, getattr(EVENTS, function.event), callback)
    return told


def event_set(function: Function) -> int:
    bits: int = getattr(EVENTS, function.enables)
    return bits


def set_globally(_code: object, function: Function, tool: int = TOOL) -> None:
    monitoring.set_events(tool, event_set(function))


def set_locally(code: object, function: Function, tool: int = TOOL) -> None:
    monitoring.set_local_events(tool, code, event_set(function))


each_way = pytest.mark.parametrize("set_events", [set_globally, set_locally])
Setter = Callable[..., None]


def lines(producer: ModuleType, code: CodeLike, *offsets: int, scope: Scope | None = None) -> None:
    """Fires a line for each offset, which is told as the line."""
    with scope or Scope(producer, "LINE", code_like=code) as entered:
        for offset in offsets:
            entered.fire(LINE, code_like=code, offset=offset, values=(offset,))


# ---- What is disabled ---------------------------------------------------------------------------


@each_way
@pytest.mark.parametrize(
    "function", [f for f in FUNCTIONS if f.can_be_disabled], ids=lambda function: function.name
)
def test_event_is_disabled_where_it_happened(
    producer: ModuleType, function: Function, set_events: Setter
) -> None:
    code, told = code_like(), listen(function)
    set_events(code, function)
    with Scope(producer, function.event, code_like=code) as scope:
        for _ in range(3):
            for offset in (0, 8, END - 2):
                scope.fire(function, offset=offset)
        assert len(told) == 3
        # The slot is as active as before.
        assert scope.active == (1 << TOOL,)
        scope.fire(function, offset=10)
        assert len(told) == 4


@each_way
def test_slot_is_disabled_without_the_wish(producer: ModuleType, set_events: Setter) -> None:
    code, told = code_like("slot"), listen(LINE)
    set_events(code, LINE)
    with Scope(producer, "LINE", code_like=code) as scope:
        scope.fire(LINE, offset=0)
        scope.fire(LINE, offset=8)
        assert len(told) == 1
        assert scope.active == (0,)


@each_way
def test_event_stays_disabled_in_every_scope(producer: ModuleType, set_events: Setter) -> None:
    code, told = code_like(), listen(LINE)
    set_events(code, LINE)
    for _ in range(3):
        lines(producer, code, 0, 8)
    assert told == [(0,), (8,)]


@each_way
def test_other_events_other_tools_and_other_code_are_told(producer: ModuleType, set_events: Setter) -> None:
    code, another = code_like(), code_like()
    told, other, starts = listen(LINE), listen(LINE, OTHER, None), listen(START)
    for each in (code, another):
        set_events(each, LINE, OTHER)
    monitoring.set_events(TOOL, EVENTS.LINE | EVENTS.PY_START)
    for each in (code, another):
        with Scope(producer, "LINE", "PY_START", code_like=each) as scope:
            for _ in range(2):
                scope.fire(LINE, offset=0, values=(1,))
                scope.fire(START, offset=0)
    assert told == [(1,)] * 2
    assert other == [(1,)] * 4
    assert starts == [(0,)] * 2


def test_end_of_a_call_is_disabled_with_it(producer: ModuleType) -> None:
    code, calls, ends = code_like(), listen(CALL, answer=None), listen(C_RETURN, answer=None)
    monitoring.set_events(TOOL, event_set(CALL))
    with Scope(producer, "CALL", "C_RETURN", code_like=code) as scope:

        def call() -> tuple[int, int]:
            for function in (CALL, C_RETURN):
                scope.fire(function, offset=6)
            return len(calls), len(ends)

        assert call() == (1, 1)
        calls = listen(CALL)
        assert call() == (1, 1)
        assert call() == (1, 1)
        # Elsewhere it is not.
        scope.fire(C_RETURN, offset=8)
        assert len(ends) == 2
        # Such a call may end elsewhere.
        scope.fire(CALL, offset=6)
        scope.fire(C_RETURN, offset=8)
        assert len(ends) == 2


@pytest.mark.parametrize("offset", [1, END, END + 1, 2**31 - 1])
def test_offset_that_the_code_does_not_have_cannot_be_disabled(producer: ModuleType, offset: int) -> None:
    code, told = code_like(), listen(LINE)
    set_locally(code, LINE)
    lines(producer, code, 0, offset, offset)
    lines(producer, code, 0, offset)
    assert told == [(0,), (offset,), (offset,), (offset,)]


def test_event_that_has_no_location_is_refused_as_ever(producer: ModuleType) -> None:
    function = BY_NAME["fire_raise"]
    code, told = code_like(), listen(function)
    monitoring.set_events(TOOL, event_set(function))
    with Scope(producer, function.event, code_like=code) as scope:
        with pytest.raises(ValueError, match="Cannot disable"):
            scope.fire(function)
        scope.fire(function)
    assert len(told) == 1


# ---- Until when ---------------------------------------------------------------------------------


@each_way
def test_restart_enables(producer: ModuleType, set_events: Setter) -> None:
    code, told = code_like(), listen(LINE)
    set_events(code, LINE)
    scope = Scope(producer, "LINE", code_like=code)
    for count in range(1, 4):
        lines(producer, code, 0, 8, 0, 8, scope=scope)
        assert told == [(0,), (8,)] * count
        monitoring.restart_events()
        assert len(told) == 2 * count


@each_way
def test_restart_within_a_callback_does_not_undo_its_answer(producer: ModuleType, set_events: Setter) -> None:
    code, told = code_like(), []

    def callback(code: object, line: int) -> object:
        if isinstance(code, CodeLike):
            told.append(line)
            monitoring.restart_events()
            return monitoring.DISABLE
        return None

    monitoring.register_callback(TOOL, EVENTS.LINE, callback)
    set_events(code, LINE)
    lines(producer, code, 0, 8, 0, 8, 8)
    # Each restart enables the other line again, and only that.
    assert told == [0, 8, 0, 8]


def test_other_events_globally_enable(producer: ModuleType) -> None:
    code, told = code_like(), listen(LINE)
    set_globally(code, LINE)
    lines(producer, code, 0, 0)
    monitoring.set_events(TOOL, EVENTS.LINE | EVENTS.PY_YIELD)
    lines(producer, code, 0, 0)
    assert told == [(0,), (0,)]


def test_local_events_that_are_set_anew_are_enabled(producer: ModuleType) -> None:
    code, told, other = code_like(), listen(LINE), listen(LINE, OTHER)
    for tool in (TOOL, OTHER):
        set_locally(code, LINE, tool)
    lines(producer, code, 0, 8, 0)
    # The same again is no change.
    set_locally(code, LINE)
    lines(producer, code, 0, 8, 0)
    assert (told, other) == ([(0,), (8,)], [(0,), (8,)])
    monitoring.set_local_events(TOOL, code, 0)
    lines(producer, code, 0, 8)
    set_locally(code, LINE)
    lines(producer, code, 0, 8, 0)
    assert (told, other) == ([(0,), (8,)] * 2, [(0,), (8,)])


def test_local_events_of_other_code_change_nothing(producer: ModuleType) -> None:
    code, told = code_like(), listen(LINE)
    set_locally(code, LINE)
    lines(producer, code, 0, 8)
    others = [code_like(), code_like("slot")]
    for other in others:
        set_locally(other, LINE)
        lines(producer, code, 0, 8)
    del other
    others.clear()
    gc.collect()
    lines(producer, code, 0, 8)
    assert told == [(0,), (8,)]


@each_way
def test_tool_that_takes_the_id_again_inherits_nothing(producer: ModuleType, set_events: Setter) -> None:
    code, told, other = code_like(), listen(LINE), listen(LINE, OTHER, None)
    # With it a scope stays active.
    set_events(code, LINE, OTHER)
    for count in range(1, 4):
        set_events(code, LINE)
        lines(producer, code, 0, 8, 0)
        assert len(told) == 2
        assert len(other) == 3 * count
        monitoring.free_tool_id(TOOL)
        monitoring.use_tool_id(TOOL, "again")
        told = listen(LINE)


@pytest.mark.skipif(not hasattr(monitoring, "clear_tool_id"), reason="it came with 3.14")
def test_tool_that_was_cleared_inherits_nothing(producer: ModuleType) -> None:
    code, told = code_like(), listen(LINE)
    set_locally(code, LINE)
    lines(producer, code, 0, 8, 0)
    monitoring.clear_tool_id(TOOL)
    told = listen(LINE)
    lines(producer, code, 0, 8)
    assert told == []
    set_locally(code, LINE)
    lines(producer, code, 0, 8, 0)
    assert told == [(0,), (8,)]


def test_code_at_the_address_of_code_that_died_inherits_nothing(producer: ModuleType) -> None:
    told = listen(LINE)
    monitoring.set_events(TOOL, EVENTS.LINE)
    addresses = set()
    for _ in range(50):
        code = code_like()
        addresses.add(id(code))
        lines(producer, code, 0, 8, 0)
        del code
    assert len(addresses) < 50
    assert told == [(0,), (8,)] * 50


def test_code_like_that_was_replaced_inherits_nothing(producer: ModuleType) -> None:
    code, told = code_like(), listen(LINE)
    set_locally(code, LINE)
    lines(producer, code, 0)
    replaced = code.replace(co_name="play")
    assert monitoring.get_local_events(TOOL, replaced) == 0
    set_locally(replaced, LINE)
    # It disables by offset too.
    lines(producer, replaced, 0, 8, 0)
    assert told == [(0,), (0,), (8,)]


# ---- While other things happen ------------------------------------------------------------------


class Model:
    """What tools are to be told, remembered in the plainest way."""

    def __init__(self) -> None:
        self.everywhere: set[tuple[int, str]] = set()
        self.local: set[tuple[int, str, CodeLike]] = set()
        self.disabled: set[tuple[int, str, CodeLike, int]] = set()

    def set_events(self, tool: int, events: set[str]) -> None:
        now = {pair for pair in self.everywhere if pair[0] != tool} | {(tool, event) for event in events}
        if now != self.everywhere:
            self.everywhere = now
            self.disabled.clear()

    def set_local_events(self, tool: int, code: CodeLike, events: set[str]) -> None:
        for event in ("LINE", "PY_START"):
            key = (tool, event, code)
            if event not in events:
                self.local.discard(key)
            elif key not in self.local:
                self.local.add(key)
                self.disabled = {place for place in self.disabled if place[:3] != key}

    def free(self, tool: int) -> None:
        self.everywhere = {pair for pair in self.everywhere if pair[0] != tool}
        self.local = {key for key in self.local if key[0] != tool}
        self.disabled.clear()

    def forget(self, code: CodeLike) -> None:
        self.local = {key for key in self.local if key[2] is not code}
        self.disabled = {place for place in self.disabled if place[2] is not code}

    def told(self, event: str, code: CodeLike, offset: int) -> list[int]:
        return [
            tool
            for tool in (OTHER, TOOL)
            if ((tool, event) in self.everywhere or (tool, event, code) in self.local)
            and (tool, event, code, offset) not in self.disabled
        ]


@pytest.mark.parametrize("seed", range(10))
def test_random_changes_are_told_as_the_model_says(producer: ModuleType, seed: int) -> None:
    choose, model = random.Random(seed), Model()
    told: list[int] = []
    answers: dict[int, object] = {}
    functions = {"LINE": LINE, "PY_START": START}

    def register(tool: int) -> None:
        def callback(code: object, *_: object) -> object:
            if isinstance(code, CodeLike):
                told.append(tool)
                return answers[tool]
            return None

        for event in functions:
            monitoring.register_callback(tool, getattr(EVENTS, event), callback)

    def pick() -> tuple[set[str], int]:
        events = {event for event in functions if choose.random() < 0.4}
        return events, sum(getattr(EVENTS, event) for event in events)

    for tool in (TOOL, OTHER):
        register(tool)
    codes = [code_like() for _ in range(4)]
    fired = 0
    for _ in range(400):
        index, tool, what = choose.randrange(4), choose.choice((TOOL, OTHER)), choose.random()
        code = codes[index]
        if what < 0.03:
            monitoring.restart_events()
            model.disabled.clear()
        elif what < 0.06:
            # Before 3.14 the interpreter leaves the events for all code to the next owner of the id.
            monitoring.set_events(tool, 0)
            monitoring.free_tool_id(tool)
            monitoring.use_tool_id(tool, "again")
            model.free(tool)
            register(tool)
        elif what < 0.09:
            events, mask = pick()
            monitoring.set_events(tool, mask)
            model.set_events(tool, events)
        elif what < 0.12:
            model.forget(code)
            codes[index] = code_like()
        elif what < 0.3:
            events, mask = pick()
            monitoring.set_local_events(tool, code, mask)
            model.set_local_events(tool, code, events)
        else:
            event, offset = choose.choice(list(functions)), choose.randrange(0, 8, 2)
            expected = model.told(event, code, offset)
            for each in expected:
                answers[each] = choose.choice((None, monitoring.DISABLE))
                if answers[each] is monitoring.DISABLE:
                    model.disabled.add((each, event, code, offset))
            told.clear()
            with Scope(producer, event, code_like=code) as scope:
                scope.fire(functions[event], offset=offset)
            assert told == expected
            fired += len(told)
    assert fired > 20


def test_code_likes_come_and_go_while_events_fire(producer: ModuleType) -> None:
    """Threads make code-likes, set their events, fire them and drop them, beside one that stays."""
    stays, told = code_like(), 0
    names = threading.local()

    def callback(code: object, line: int) -> object:
        nonlocal told
        if code is stays:
            told += 1
            return None
        if isinstance(code, CodeLike):
            assert code.co_name == names.name
            return monitoring.DISABLE if line % 4 else None
        return None

    monitoring.register_callback(TOOL, EVENTS.LINE, callback)
    monitoring.set_local_events(TOOL, stays, EVENTS.LINE)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        names.name = f"thread {number}"
        try:
            for _ in range(300):
                code = CodeLike(names.name, "shop.rules", lines=[(0, END, 1)], disable="offset")
                monitoring.set_local_events(TOOL, code, EVENTS.LINE)
                lines(producer, code, 0, 2, 4, 2)
                lines(producer, stays, 2)
                if number:
                    monitoring.set_local_events(TOOL, code, 0)
                else:
                    monitoring.restart_events()
        except BaseException as error:
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert failures == []
    assert told == 4 * 300
    with Scope(producer, "LINE") as scope:
        assert scope.active == (1 << TOOL,)
        monitoring.set_local_events(TOOL, stays, 0)
        scope.enter()
        assert scope.active == (0,)


def test_code_like_may_die_in_its_own_callback(producer: ModuleType) -> None:
    codes, told = [code_like()], []

    def callback(code: object, line: int) -> object:
        if isinstance(code, CodeLike):
            told.append(line)
            codes.clear()
            monitoring.set_local_events(TOOL, code, 0)
            return monitoring.DISABLE
        return None

    monitoring.register_callback(TOOL, EVENTS.LINE, callback)
    monitoring.set_local_events(TOOL, codes[0], EVENTS.LINE)
    scope = Scope(producer, "LINE", code_like=object())
    scope.enter()
    scope.fire(LINE, code_like=codes.pop(), values=(3,))
    assert told == [3]
    scope.enter()
    assert scope.active == (0,)
