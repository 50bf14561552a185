"""What a producer in C or C++ gets from each function of the Monitoring C API, mistakes included."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import build
import monitrace
import pytest
from scopes import FUNCTIONS, CodeLike, Function, Scope

monitoring = monitrace.install()
EVENTS = monitoring.events
LOW, HIGH = 1, 3

BY_NAME = {function.name: function for function in FUNCTIONS}
START, RETURN, CALL, LINE, STOP, RAISE, C_RETURN, C_RAISE = (
    BY_NAME[f"fire_{name}"]
    for name in ("py_start", "py_return", "call", "line", "stop_iteration", "raise", "c_return", "c_raise")
)

Callback = Callable[..., object]

each_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)


@pytest.fixture(scope="module", params=["c", "c++"])
def producer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("producer")
    return build.load(build.compile_module(build.HERE / "producer.c", folder, language=request.param))


@pytest.fixture(autouse=True)
def tools() -> Iterator[None]:
    for tool in (LOW, HIGH):
        monitoring.use_tool_id(tool, "test")
    yield
    for tool in (LOW, HIGH):
        monitoring.free_tool_id(tool)


def event_set(event: str) -> int:
    bit: int = getattr(EVENTS, event)
    return bit


def never_called() -> None:
    """Gives its code object to a scope."""


def register(tool: int, event: str, callback: Callback) -> None:
    """Register what is told of the producer's code alone: the tests themselves fire events too."""

    def ours_only(code: object, *arguments: object) -> object:
        if isinstance(code, CodeLike) or code is never_called.__code__:
            return callback(code, *arguments)
        return None

    monitoring.register_callback(tool, event_set(event), ours_only)


def unregister(tool: int, event: str) -> object:
    """Answers what was registered."""
    return monitoring.register_callback(tool, event_set(event), None)


def listen(function: Function, callback: Callback, tool: int = LOW) -> None:
    register(tool, function.event, callback)
    monitoring.set_events(tool, event_set(function.enables))


def forget(tool: int = LOW) -> None:
    monitoring.set_events(tool, 0)


class Recorder:
    """A callback that keeps what it is told, answers, and raises."""

    def __init__(self, answer: object = None, error: BaseException | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.answer = answer
        self.error = error

    def __call__(self, *arguments: object) -> object:
        self.calls.append(arguments)
        if self.error is not None:
            raise self.error
        return self.answer


# ---- What arrives -------------------------------------------------------------------------------


def test_table_of_functions_is_complete(producer: ModuleType) -> None:
    assert {name for name in dir(producer) if name.startswith("fire_")} == BY_NAME.keys()


def test_event_ids_are_those_of_the_namespace(producer: ModuleType) -> None:
    ids = dict(producer.IDS)
    assert len(set(ids.values())) == len(ids)
    known = {name: bit.bit_length() - 1 for name, bit in vars(EVENTS).items() if bit}
    assert known == ids


def test_instrumented_events_are_those_up_to_stop_iteration(producer: ModuleType) -> None:
    for event, number in producer.IDS.items():
        expected = number <= producer.IDS["STOP_ITERATION"]
        assert producer.is_instrumented(number) is expected, event


@each_function
def test_callback_gets_the_documented_arguments(producer: ModuleType, function: Function) -> None:
    recorder = Recorder()
    listen(function, recorder)
    current = ValueError("current") if function.takes_exception else None
    told = function.told
    with Scope(producer, "CALL", function.event) as scope:
        assert scope.active[1] == 1 << LOW
        if function.event in ("C_RETURN", "C_RAISE"):
            scope.fire(CALL)
            told = CALL.told
        elif current is not None:
            told = (current,)
        # The module compares the exception that is current after the call.
        scope.fire(function, current=current, offset=24)
        offset = () if function is LINE else (24,)
        assert recorder.calls == [(scope.code_like, *offset, *told)]
        if current is not None and function is not C_RAISE:
            assert recorder.calls[0][-1] is current


def test_code_object_is_passed_on(producer: ModuleType) -> None:
    recorder = Recorder()
    code = never_called.__code__
    listen(START, recorder)
    with Scope(producer, "PY_START", code_like=code) as scope:
        scope.fire(START)
    assert recorder.calls == [(code, 8)]


def test_branch_event_stands_for_both_sides(producer: ModuleType) -> None:
    recorder = Recorder()
    register(LOW, "BRANCH", recorder)
    monitoring.set_events(LOW, EVENTS.BRANCH)
    with Scope(producer, "BRANCH_LEFT", "BRANCH_RIGHT", "BRANCH") as scope:
        assert scope.active == (1 << LOW,) * 3
        for name in ("fire_branch_left", "fire_branch_right", "fire_branch"):
            scope.fire(BY_NAME[name])
    assert [call[2] for call in recorder.calls] == [64, 66, 62]


@pytest.mark.parametrize("side", ["LEFT", "RIGHT"])
def test_side_of_a_branch_is_told_alone(producer: ModuleType, side: str) -> None:
    recorder = Recorder()
    listen(BY_NAME[f"fire_branch_{side.lower()}"], recorder)
    with Scope(producer, "BRANCH_LEFT", "BRANCH_RIGHT") as scope:
        for name in ("fire_branch_left", "fire_branch_right"):
            # Before and after the branch: the target's place does not decide the side.
            scope.fire(BY_NAME[name], values=(2,))
            scope.fire(BY_NAME[name], values=(200,))
    assert [call[2] for call in recorder.calls] == [2, 200]


def test_scope_hears_of_another_side(producer: ModuleType) -> None:
    register(LOW, "BRANCH", Recorder())
    monitoring.set_events(LOW, EVENTS.BRANCH_LEFT)
    scope = Scope(producer, "BRANCH_LEFT", "BRANCH_RIGHT")
    scope.enter()
    assert scope.active == (1 << LOW, 0)
    version = scope.version
    monitoring.set_events(LOW, EVENTS.BRANCH_RIGHT)
    scope.enter()
    assert scope.active == (0, 1 << LOW)
    assert scope.version != version


@pytest.mark.parametrize("code_likes", ["all", "one"])
@pytest.mark.parametrize("side", ["LEFT", "RIGHT"])
def test_callback_of_both_sides_is_told_of_the_side_that_is_set(
    producer: ModuleType, side: str, code_likes: str
) -> None:
    recorder = Recorder()
    register(LOW, "BRANCH", recorder)
    scope = Scope(producer, "BRANCH_LEFT", "BRANCH_RIGHT")
    if code_likes == "all":
        monitoring.set_events(LOW, event_set(f"BRANCH_{side}"))
    else:
        monitoring.set_local_events(LOW, scope.code_like, event_set(f"BRANCH_{side}"))
    with scope:
        scope.fire(BY_NAME["fire_branch_left"])
        scope.fire(BY_NAME["fire_branch_right"])
    assert [call[2] for call in recorder.calls] == [{"LEFT": 64, "RIGHT": 66}[side]]


@pytest.mark.parametrize(("value", "arguments"), [(5, (5,)), ((5, 6), ((5, 6),)), (None, (None,))])
def test_stop_iteration_wraps_a_value(
    producer: ModuleType, value: object, arguments: tuple[object, ...]
) -> None:
    recorder = Recorder()
    listen(STOP, recorder)
    with Scope(producer, "STOP_ITERATION") as scope:
        scope.fire(STOP, values=(value,))
    exception = recorder.calls[0][2]
    assert type(exception) is StopIteration
    assert exception.args == arguments
    assert exception.value == value


def test_stop_iteration_takes_an_instance_as_it_is(producer: ModuleType) -> None:
    class Stop(StopIteration):
        pass

    recorder, instance = Recorder(), Stop(1, 2)
    listen(STOP, recorder)
    with Scope(producer, "STOP_ITERATION") as scope:
        scope.fire(STOP, values=(instance,))
    assert recorder.calls[0][2] is instance


def test_stop_iteration_without_a_value(producer: ModuleType) -> None:
    recorder = Recorder()
    listen(STOP, recorder)
    with Scope(producer, "STOP_ITERATION") as scope:
        scope.fire(STOP, values=(producer.NULL,))
    assert recorder.calls[0][2].args == ()


def test_call_without_an_argument_is_told_as_missing(producer: ModuleType) -> None:
    recorder = Recorder()
    listen(CALL, recorder)
    with Scope(producer, "CALL") as scope:
        scope.fire(CALL, values=(len, producer.NULL))
    assert recorder.calls == [(scope.code_like, 8, len, monitoring.MISSING)]


@pytest.mark.parametrize("function", [C_RETURN, C_RAISE], ids=lambda function: function.name)
def test_end_of_an_unknown_call_is_told_as_missing(producer: ModuleType, function: Function) -> None:
    recorder = Recorder()
    listen(function, recorder)
    with Scope(producer, "CALL", function.event) as scope, Scope(producer, "CALL") as other:
        other.fire(CALL)
        scope.fire(function)
    assert recorder.calls == [(scope.code_like, 8, monitoring.MISSING, monitoring.MISSING)]


def test_end_is_that_of_the_code_likes_own_last_call(producer: ModuleType) -> None:
    recorder = Recorder()
    listen(C_RETURN, recorder)
    with Scope(producer, "CALL", "C_RETURN") as outer:
        outer.fire(CALL, values=(len, "first"))
        outer.fire(CALL, values=(repr, "last"))
        with Scope(producer, "CALL") as inner:
            inner.fire(CALL, values=(print, "inner"))
        outer.fire(C_RETURN)
    assert recorder.calls == [(outer.code_like, 8, repr, "last")]


def test_call_from_before_anybody_listened_to_ends_is_not_told(producer: ModuleType) -> None:
    recorder = Recorder()
    listen(C_RETURN, recorder)
    with Scope(producer, "CALL", "C_RETURN") as scope:
        scope.fire(CALL, values=(len, "kept"))
        unregister(LOW, "C_RETURN")
        listen(CALL, Recorder())
        scope.enter()
        scope.fire(CALL, values=(repr, "not kept"))
        listen(C_RETURN, recorder)
        scope.enter()
        scope.fire(C_RETURN)
    assert recorder.calls == [(scope.code_like, 8, monitoring.MISSING, monitoring.MISSING)]


def test_call_within_a_callback_does_not_take_the_place_of_the_one_that_is_told(
    producer: ModuleType,
) -> None:
    ends = Recorder()
    scope = Scope(producer, "CALL", "C_RETURN")

    def calls(*_: object) -> None:
        scope.fire(CALL, values=(repr, "within"))
        scope.fire(C_RETURN)

    listen(C_RETURN, ends)
    listen(CALL, calls)
    with scope:
        scope.fire(CALL, values=(len, "outer"))
        scope.fire(C_RETURN)
    assert ends.calls == [(scope.code_like, 8, len, "outer")]


def test_call_of_a_code_like_that_is_gone_is_forgotten(producer: ModuleType) -> None:
    recorder = Recorder()
    listen(C_RETURN, recorder)
    scope = Scope(producer, "CALL", "C_RETURN")
    scope.enter()
    scope.fire(CALL)
    address, scope.code_like = id(scope.code_like), None
    # Another takes its place in memory, unless it is still alive.
    for code_like in [CodeLike() for _ in range(1000)]:
        if id(code_like) == address:
            scope.fire(C_RETURN, code_like=code_like)
            assert recorder.calls == [(code_like, 8, monitoring.MISSING, monitoring.MISSING)]


# ---- Who is told --------------------------------------------------------------------------------


@each_function
def test_tools_are_told_highest_first(producer: ModuleType, function: Function) -> None:
    order: list[int] = []
    for tool in (LOW, HIGH):
        listen(function, lambda *_, tool=tool: order.append(tool), tool)
    with Scope(producer, function.event) as scope:
        assert scope.active == (1 << LOW | 1 << HIGH,)
        scope.fire(function)
    assert order == [HIGH, LOW]


@each_function
def test_what_a_callback_raises_comes_out_and_lower_tools_are_not_told(
    producer: ModuleType, function: Function
) -> None:
    error, lower = OSError("callback"), Recorder()
    higher = Recorder(error=error)
    listen(function, lower)
    listen(function, higher, HIGH)
    with Scope(producer, function.event) as scope:
        with pytest.raises(OSError, match="callback") as caught:
            scope.fire(function)
        assert caught.value is error
        assert (len(higher.calls), lower.calls) == (1, [])
        # It goes on hearing: an error is no DISABLE.
        higher.error = None
        scope.fire(function)
    assert (len(higher.calls), len(lower.calls)) == (2, 1)


@pytest.mark.parametrize(
    "function", [f for f in FUNCTIONS if f.can_be_disabled], ids=lambda function: function.name
)
def test_disable_is_for_the_slot_and_the_tool_until_the_version_moves(
    producer: ModuleType, function: Function
) -> None:
    recorder, other_tool = Recorder(monitoring.DISABLE), Recorder()
    listen(function, recorder)
    listen(function, other_tool, HIGH)
    scope, other = Scope(producer, function.event), Scope(producer, function.event)
    scope.enter()
    other.enter()
    scope.fire(function)
    assert scope.active == (1 << HIGH,)
    # The same place again, and another place of the same slot.
    scope.fire(function)
    scope.fire(function, offset=16)
    assert (len(recorder.calls), len(other_tool.calls)) == (1, 3)
    # Another scope has slots of its own.
    assert other.active == (1 << LOW | 1 << HIGH,)
    recorder.answer = None
    other.fire(function)
    assert len(recorder.calls) == 2
    # Entered again at the same version, it stays disabled.
    scope.leave()
    scope.enter()
    scope.fire(function)
    assert len(recorder.calls) == 2
    monitoring.restart_events()
    scope.enter()
    scope.fire(function)
    assert len(recorder.calls) == 3


def listen_to_calls(calls: Callback, ends: Callback, tool: int = LOW) -> None:
    register(tool, "CALL", calls)
    for end in ("C_RETURN", "C_RAISE"):
        register(tool, end, ends)
    monitoring.set_events(tool, EVENTS.CALL)


def test_disabled_call_is_not_told_to_have_ended(producer: ModuleType) -> None:
    calls, ends, other_ends = Recorder(monitoring.DISABLE), Recorder(), Recorder()
    listen_to_calls(calls, ends)
    listen_to_calls(Recorder(), other_ends, HIGH)
    scope, other = (Scope(producer, "PY_START", "C_RAISE", "CALL", "C_RETURN") for _ in range(2))
    other.enter()
    for _ in range(3):
        scope.enter()
        for end in (C_RETURN, C_RAISE):
            scope.fire(CALL)
            scope.fire(end)
    assert (len(calls.calls), len(ends.calls), len(other_ends.calls)) == (1, 0, 6)
    # The states say so too: where nobody else listens, an end is a test of a byte.
    assert scope.active == (0, *[1 << HIGH] * 3)
    # Another scope has calls of its own.
    calls.answer = None
    other.fire(CALL)
    other.fire(C_RETURN)
    assert (len(calls.calls), len(ends.calls)) == (2, 1)
    monitoring.restart_events()
    scope.enter()
    for end in (C_RETURN, C_RAISE):
        scope.fire(CALL)
        scope.fire(end)
    assert (len(calls.calls), len(ends.calls)) == (4, 3)


def test_calls_of_one_scope_are_disabled_one_by_one(producer: ModuleType) -> None:
    calls, ends = Recorder(monitoring.DISABLE), Recorder()
    listen_to_calls(calls, ends)
    with Scope(producer, *["CALL", "C_RETURN"] * 50, *["CALL", "C_RETURN"]) as scope:
        for site in (10, 10, 100, 10):
            scope.fire(CALL, slot=site)
            scope.fire(C_RETURN, slot=site + 1)
            calls.answer = None
    assert (len(calls.calls), len(ends.calls)) == (2, 1)


def test_end_that_several_calls_share_is_told_for_those_that_are_not_disabled(producer: ModuleType) -> None:
    calls, ends = Recorder(monitoring.DISABLE), Recorder()
    listen_to_calls(calls, ends)
    with Scope(producer, "CALL", "CALL", "C_RETURN") as scope:
        for site in (0, 1):
            scope.fire(CALL, slot=site, values=(len, site))
            scope.fire(C_RETURN)
            calls.answer = None
    assert [call[3] for call in ends.calls] == [1]


def test_disabled_calls_of_many_scopes_are_told_apart(producer: ModuleType) -> None:
    calls, ends = Recorder(monitoring.DISABLE), Recorder()
    listen_to_calls(calls, ends)
    # More than are kept in mind, and all at once, so that no two have the same place in memory.
    scopes = [Scope(producer, "CALL", "C_RETURN") for _ in range(5000)]
    for scope in scopes:
        scope.enter()
        scope.fire(CALL)
        scope.fire(C_RETURN)
    assert (len(calls.calls), ends.calls) == (5000, [])
    scopes[-1].fire(CALL)
    scopes[-1].fire(C_RETURN)
    assert (len(calls.calls), ends.calls) == (5000, [])


@pytest.mark.parametrize(
    "function", [f for f in FUNCTIONS if not f.can_be_disabled], ids=lambda function: function.name
)
def test_event_without_a_place_cannot_be_disabled(producer: ModuleType, function: Function) -> None:
    recorder = Recorder(monitoring.DISABLE)
    listen(function, recorder)
    with Scope(producer, function.event) as scope:
        with pytest.raises(
            ValueError, match=rf"^Cannot disable {function.event} events\. Callback removed\.$"
        ):
            scope.fire(function)
        scope.fire(function)
    assert len(recorder.calls) == 1
    assert unregister(LOW, function.event) is None


@each_function
def test_nothing_is_told_while_a_callback_runs(producer: ModuleType, function: Function) -> None:
    lower = Recorder()
    scope = Scope(producer, function.event)
    depth = 0

    def fires_again(*_: object) -> None:
        nonlocal depth
        depth += 1
        seen = len(lower.calls)
        # In a scope that is entered there, too.
        for used in (scope, Scope(producer, function.event)):
            used.enter()
            assert used.active == (1 << LOW | 1 << HIGH,)
            used.fire(function)
        assert len(lower.calls) == seen

    listen(function, lower)
    listen(function, fires_again, HIGH)
    with scope:
        scope.fire(function)
        scope.fire(function)
    assert (depth, len(lower.calls)) == (2, 2)


def test_event_without_a_callback_is_nothing(producer: ModuleType) -> None:
    monitoring.set_events(LOW, event_set("PY_START"))
    with Scope(producer, "PY_START") as scope:
        scope.fire(START)


# ---- Scopes -------------------------------------------------------------------------------------


def test_unchanged_version_leaves_states_alone(producer: ModuleType) -> None:
    recorder = Recorder()
    listen(START, recorder)
    scope = Scope(producer, "PY_START", "PY_RETURN")
    scope.enter()
    version = scope.version
    assert version != 0
    producer.set_active(scope.capsule, 0, 0)
    producer.set_active(scope.capsule, 1, 0x20)
    scope.enter()
    assert (scope.active, scope.version) == ((0, 0x20), version)
    scope.fire(START)
    assert recorder.calls == []
    forget()
    scope.enter()
    assert scope.active == (0, 0)
    assert scope.version != version


def test_scope_is_entered_again_within_itself(producer: ModuleType) -> None:
    recorder = Recorder()
    listen(START, recorder)
    scope = Scope(producer, "PY_START")
    with scope:
        scope.fire(START, offset=0)
        with scope:
            scope.fire(START, offset=2)
        scope.fire(START, offset=4)
    with scope:
        scope.fire(START, offset=6)
    assert [call[1] for call in recorder.calls] == [0, 2, 4, 6]


def test_change_is_seen_when_the_scope_is_entered_again(producer: ModuleType) -> None:
    recorder = Recorder()
    scope = Scope(producer, "PY_START", "LINE")
    scope.enter()
    assert scope.active == (0, 0)
    listen(START, recorder)
    scope.fire(START)
    assert (scope.active, recorder.calls) == ((0, 0), [])
    scope.enter()
    scope.fire(START)
    assert (scope.active, len(recorder.calls)) == ((1 << LOW, 0), 1)
    line = Recorder()
    listen(LINE, line)
    scope.enter()
    scope.fire(START)
    scope.fire(LINE)
    assert (scope.active, len(recorder.calls), len(line.calls)) == ((0, 1 << LOW), 1, 1)


def test_callback_is_exchanged_without_entering_again(producer: ModuleType) -> None:
    first, second = Recorder(), Recorder()
    listen(START, first)
    with Scope(producer, "PY_START") as scope:
        scope.fire(START)
        register(LOW, "PY_START", second)
        scope.fire(START)
        unregister(LOW, "PY_START")
        scope.fire(START)
    assert (len(first.calls), len(second.calls)) == (1, 1)


def test_freed_tool_is_told_nothing(producer: ModuleType) -> None:
    recorder = Recorder()
    listen(START, recorder)
    scope = Scope(producer, "PY_START")
    scope.enter()
    scope.fire(START)
    if (3, 12) <= sys.version_info < (3, 14):
        # There, freeing a tool's id leaves its events and callbacks as they are.
        unregister(LOW, "PY_START")
        forget()
    monitoring.free_tool_id(LOW)
    # Its state still names the tool.
    assert scope.active == (1 << LOW,)
    scope.fire(START)
    scope.enter()
    scope.fire(START)
    assert (scope.active, len(recorder.calls)) == ((0,), 1)


def test_scope_without_events(producer: ModuleType) -> None:
    listen(START, Recorder())
    with Scope(producer) as scope:
        assert scope.active == ()


def kin(function: Function) -> set[str]:
    """The events of other slots that setting the function's event makes a tool hear."""
    if function.enables == "CALL":
        return {"CALL", "C_RETURN", "C_RAISE"}
    return {"BRANCH"} if function.event.startswith("BRANCH_") else set()


def test_every_event_in_one_scope(producer: ModuleType) -> None:
    # More slots than there are tools, and each event in its own.
    scope = Scope(producer, *(function.event for function in FUNCTIONS))
    for function in FUNCTIONS:
        if function.event == "BRANCH":
            continue  # It stands for other slots too.
        recorder = Recorder()
        listen(function, recorder)
        with scope:
            heard = {event for event, tools in zip(scope.events, scope.active, strict=True) if tools}
            # A state may leave out a tool that has no callback.
            assert function.event in heard
            assert heard <= {function.event} | kin(function)
            scope.fire(function)
        assert len(recorder.calls) == 1
        unregister(LOW, function.event)


# ---- Mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("state_array", "state_array must not be NULL"),
        ("version", "version must not be NULL"),
        ("event_types", "event_types must not be NULL"),
        ("length", "length must be non-negative"),
    ],
)
def test_scope_with_a_mistake_is_an_error(producer: ModuleType, mistake: str, words: str) -> None:
    listen(START, Recorder())
    scope = Scope(producer, "PY_START")
    # Before and after the package was found.
    for _ in range(2):
        with pytest.raises(ValueError, match=f"^{words}$"):
            scope.enter(mistake)
    assert scope.active == (0,)
    scope.enter()
    assert scope.active == (1 << LOW,)


@pytest.mark.parametrize("unknown", [19, 31, 32, 64, 255])
def test_unknown_event_is_an_error_and_changes_nothing(producer: ModuleType, unknown: int) -> None:
    listen(START, Recorder())
    scope = Scope(producer, "PY_START")
    scope.capsule = producer.new_scope(bytes([producer.IDS["PY_START"], unknown]))
    with pytest.raises(ValueError, match=str(unknown)):
        scope.enter()
    assert (scope.active, scope.version) == ((0, 0), 0)


@each_function
@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ({"slot": "NULL"}, "state must not be NULL"),
        ({"code_like": "NULL"}, "codelike must not be NULL"),
        ({"offset": -1}, "offset must be non-negative"),
    ],
    ids=["state", "codelike", "offset"],
)
def test_event_with_a_mistake_is_an_error(
    producer: ModuleType, function: Function, mistake: dict[str, object], words: str
) -> None:
    recorder = Recorder()
    listen(function, recorder)
    changes = {name: producer.NULL if value == "NULL" else value for name, value in mistake.items()}
    with Scope(producer, function.event) as scope:
        with pytest.raises(ValueError, match=f"^{words}$"):
            scope.fire(function, **changes)
        assert recorder.calls == []
        scope.fire(function)
    assert len(recorder.calls) == 1


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (BY_NAME["fire_py_return"], "retval"),
        (BY_NAME["fire_py_yield"], "retval"),
        (BY_NAME["fire_call"], "callable"),
        (BY_NAME["fire_jump"], "target_offset"),
        (BY_NAME["fire_branch"], "target_offset"),
        (BY_NAME["fire_branch_left"], "target_offset"),
        (BY_NAME["fire_branch_right"], "target_offset"),
        (BY_NAME["fire_c_return"], "retval"),
    ],
    ids=lambda value: value.name if isinstance(value, Function) else "",
)
def test_event_without_its_value_is_an_error(producer: ModuleType, function: Function, words: str) -> None:
    recorder = Recorder()
    listen(function, recorder)
    with Scope(producer, function.event) as scope:
        values = (producer.NULL, *function.values[1:])
        with pytest.raises(ValueError, match=f"^{words} must not be NULL$"):
            scope.fire(function, values=values)
    assert recorder.calls == []


@pytest.mark.parametrize(
    "function", [f for f in FUNCTIONS if f.takes_exception], ids=lambda function: function.name
)
def test_exception_event_without_an_exception_is_an_error(producer: ModuleType, function: Function) -> None:
    recorder = Recorder()
    listen(function, recorder)
    with Scope(producer, function.event) as scope:
        words = f"^Firing event {producer.IDS[function.event]} with no exception set$"
        with pytest.raises(ValueError, match=words):
            scope.fire(function, current=None)
    assert recorder.calls == []


@pytest.mark.parametrize(
    "function", [f for f in FUNCTIONS if not f.takes_exception], ids=lambda function: function.name
)
def test_exception_set_beforehand_stays(producer: ModuleType, function: Function) -> None:
    recorder, stray = Recorder(), KeyError("stray")
    listen(function, recorder)
    with Scope(producer, function.event) as scope:
        with pytest.raises(KeyError) as caught:
            scope.fire(function, current=stray)
        assert caught.value is stray
    assert recorder.calls == []


@each_function
def test_inactive_event_is_a_test_of_one_byte(producer: ModuleType, function: Function) -> None:
    # Nothing else is looked at, so no mistake is found, and a current exception stays.
    with Scope(producer, function.event) as scope:
        values = tuple(producer.NULL for _ in function.values) if function is not LINE else (1,)
        scope.fire(function, code_like=producer.NULL, offset=-1, values=values, current=ValueError("current"))


def test_current_exception_survives_entering(producer: ModuleType) -> None:
    listen(START, Recorder())
    # The module compares it.
    scope = Scope(producer, "PY_START")
    scope.enter(current=KeyError("current"))
    assert scope.active == (1 << LOW,)


def test_objects_are_neither_leaked_nor_lost(producer: ModuleType) -> None:
    class Value:
        pass

    value, code_like, current = Value(), CodeLike(), ValueError("current")
    values = dict.fromkeys(BY_NAME, (value,)) | {"fire_call": (len, value), "fire_line": (1,)}
    count = 0

    def callback(*_: object) -> None:
        nonlocal count
        count += 1

    def everything() -> None:
        for function in FUNCTIONS:
            listen(function, callback)
            with Scope(producer, function.event, code_like=code_like) as scope:
                for _ in range(10):
                    scope.fire(
                        function,
                        current=current if function.takes_exception else None,
                        values=values[function.name] if function.values else (),
                    )
            unregister(LOW, function.event)

    everything()
    before = [sys.getrefcount(kept) for kept in (value, code_like, current)]
    everything()
    assert [sys.getrefcount(kept) for kept in (value, code_like, current)] == before
    assert count == 2 * 10 * len(FUNCTIONS)


# ---- The header as a file -----------------------------------------------------------------------

USE = """
int use(PyMonitoringState *state, PyObject *code);
int use(PyMonitoringState *state, PyObject *code) { return PyMonitoring_FirePyStartEvent(state, code, 0); }
"""


@pytest.mark.parametrize(
    "includes",
    [
        ["monitrace.h"],
        ["monitrace.h", "monitrace.h"],
        ["Python.h", "monitrace.h"],
        ["monitrace.h", "Python.h"],
        ["stdio.h", "monitrace.h", "Python.h", "monitrace.h"],
        ["-include", "Python.h"],
        ["-include", "monitrace.h"],
        ["-include"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize(
    ("language", "standard"),
    [("c", "c99"), ("c", "c11"), ("c", "gnu17"), ("c++", "c++11"), ("c++", "c++17"), ("c++", "gnu++20")],
)
def test_header_is_included_anyhow(tmp_path: Path, language: str, standard: str, includes: list[str]) -> None:
    files = [name for name in includes if name != "-include"]
    source = tmp_path / "use.src"
    source.write_text("#define PY_SSIZE_T_CLEAN\n" * ("-include" not in includes))
    source.write_text("".join(f"#include <{name}>\n" for name in files) + USE)
    flags = ["-c", *(["-include", "monitrace.h"] if "-include" in includes else [])]
    done = build.compile_source(source, tmp_path / "use.o", language=language, standard=standard, flags=flags)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("language", ["c", "c++"])
def test_header_that_is_not_used_is_no_warning(tmp_path: Path, language: str) -> None:
    source = tmp_path / "unused.src"
    source.write_text("#define PY_SSIZE_T_CLEAN\n#include <Python.h>\n#include <monitrace.h>\nint one;\n")
    done = build.compile_source(source, tmp_path / "unused.o", language=language, flags=["-c"])
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("language", ["c", "c++"])
def test_two_files_of_one_module_may_include_it(tmp_path: Path, language: str) -> None:
    other = tmp_path / "other.src"
    other.write_text("#include <monitrace.h>\n" + USE)
    linked = build.compile_source(
        build.HERE / "producer.c",
        tmp_path / "two.so",
        language=language,
        flags=["-shared", str(other)],
    )
    assert (linked.returncode, linked.stderr) == (0, "")


def test_limited_api_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "limited.c"
    source.write_text("#define Py_LIMITED_API 0x030B0000\n#include <monitrace.h>\n")
    done = build.compile_source(source, tmp_path / "limited.o", flags=["-c"])
    assert done.returncode != 0
    assert "cannot be used with the limited API" in done.stderr


# ---- Memory -------------------------------------------------------------------------------------


def sanitized(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run every_function.py with the module, built with AddressSanitizer, which Python itself is not."""
    module = build.compile_module(build.HERE / "producer.c", folder, flags=["-fsanitize=address"])
    library = subprocess.run(
        [*build.compiler("c"), "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    environment = {
        "LD_PRELOAD": library,
        # The interpreter leaves memory behind at its end; and its blocks are to be the sanitizer's.
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",
    }
    script = [sys.executable, str(build.HERE / "every_function.py"), str(module), *arguments]
    return subprocess.run(
        ["/usr/bin/env", *(f"{name}={value}" for name, value in environment.items()), *script],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_every_function_stays_within_its_memory(tmp_path: Path) -> None:
    done = sanitized(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "".join(f"{function.name}\n" for function in FUNCTIONS)


def test_sanitizer_sees_what_leaves_its_memory(tmp_path: Path) -> None:
    done = sanitized(tmp_path, "overrun")
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr
