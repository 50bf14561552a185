"""What the program may do to its callbacks: on 3.11 they are called in a way of their own."""

import gc
import inspect
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import monitrace
import pytest

monitoring = monitrace.install()
TOOL_ID = 4
LINE = monitoring.events.LINE
START = monitoring.events.PY_START

Callback = Callable[..., object]


def work() -> None:
    pass


@pytest.fixture(autouse=True)
def tool() -> Iterator[None]:
    monitoring.use_tool_id(TOOL_ID, "test")
    yield
    monitoring.free_tool_id(TOOL_ID)


def start(callback: Callback, *codes: types.CodeType, event: int = START) -> None:
    """Fires the event in `work`, and would in the code objects, such as the callback's own: that is what
    makes 3.11 instrument them.
    """
    monitoring.register_callback(TOOL_ID, event, callback)
    for code in (work.__code__, *codes):
        monitoring.set_local_events(TOOL_ID, code, event)


def test_new_code_default_values_and_name_are_used() -> None:
    seen: list[object] = []

    def callback(_code: types.CodeType, _offset: int, text: str = "old", *, mark: str = "-") -> None:
        seen.append(text + mark)

    def other(_code: types.CodeType, _offset: int, text: str = "", *, mark: str = "") -> None:
        seen.append(f"other {text}{mark}")

    # The same cells, so that the code can be exchanged.
    assert callback.__code__.co_freevars == other.__code__.co_freevars == ("seen",)
    start(callback, callback.__code__)
    work()
    callback.__defaults__ = ("new",)
    work()
    assert callback.__kwdefaults__ is not None
    callback.__kwdefaults__["mark"] = "+"
    work()
    callback.__kwdefaults__ = {"mark": "!"}
    work()
    callback.__code__ = other.__code__
    work()
    assert seen == ["old-", "new-", "new+", "new!", "other new!"]


def test_an_error_names_the_callback() -> None:
    def callback() -> None:
        pass

    start(callback, callback.__code__)
    with pytest.raises(TypeError, match=r"callback\(\) takes 0 positional arguments but 2 were given"):
        work()
    callback.__qualname__ = "renamed"
    with pytest.raises(TypeError, match=r"^renamed\(\) takes 0 positional arguments but 2 were given"):
        work()


def test_methods_get_their_instance() -> None:
    class Tool:
        def __init__(self) -> None:
            self.seen: list[object] = []

        def callback(self, _code: types.CodeType, _offset: int) -> None:
            self.seen.append(self)

        @classmethod
        def of_class(cls, _code: types.CodeType, _offset: int) -> None:
            seen.append(cls)

    seen: list[object] = []
    tool = Tool()
    start(tool.callback, Tool.callback.__code__)
    work()
    assert tool.seen == [tool]
    start(Tool.of_class, Tool.of_class.__code__)
    work()
    assert seen == [Tool]


def test_frames_look_as_always() -> None:
    seen: list[tuple[object, object]] = []

    def callback(_code: types.CodeType, _offset: int) -> None:
        frame = inspect.currentframe()
        assert frame is not None
        assert frame.f_back is not None
        seen.append((frame.f_code, frame.f_back.f_code))

    start(callback, callback.__code__)
    work()
    assert seen == [(callback.__code__, work.__code__)]


def test_a_callback_that_is_called_by_the_program_is_told_of_too() -> None:
    seen: list[object] = []

    def callback(code: types.CodeType, _offset: int) -> None:
        seen.append(code)

    start(callback, callback.__code__)
    work()
    callback(work.__code__, 0)
    # What it was told of at its own start comes before what it was given.
    assert seen == [work.__code__, callback.__code__, work.__code__]


def test_what_a_callback_leaves_behind_is_told_of() -> None:
    seen: list[str] = []
    made: list[Callable[[], None]] = []

    def callback(code: types.CodeType, _offset: int) -> None:
        def left() -> None:
            pass

        seen.append(code.co_name)
        if not made:
            made.append(left)

    nested = [value for value in callback.__code__.co_consts if isinstance(value, types.CodeType)]
    start(callback, callback.__code__, *(code for code in nested if code.co_name == "left"))
    work()
    made[0]()
    assert seen == ["work", "left"]


@pytest.mark.parametrize("kind", ["function", "method"])
def test_a_callback_goes_when_nobody_holds_it(kind: str) -> None:
    class Tool:
        def callback(self, _code: types.CodeType, _offset: int) -> None:
            pass

    def make() -> tuple[Callback, Any]:
        tool = Tool()
        if kind == "method":
            return tool.callback, tool

        def callback(_code: types.CodeType, _offset: int, default: Tool = tool) -> None:
            del default

        return callback, tool

    callback, tool = make()
    gone = weakref.ref(tool)
    start(callback, callback.__code__)
    work()
    del callback, tool
    gc.collect()
    assert gone() is not None
    monitoring.register_callback(TOOL_ID, START, None)
    gc.collect()
    assert gone() is None


def test_a_callback_may_take_itself_off() -> None:
    seen: list[int] = []

    def callback(_code: types.CodeType, line: int) -> None:
        monitoring.register_callback(TOOL_ID, LINE, None)
        gc.collect()
        seen.append(line)

    start(callback, callback.__code__, event=LINE)
    del callback
    work()
    assert len(seen) == 1


def test_objects_that_are_no_functions_are_called_too() -> None:
    class Tool:
        def __call__(self, code: types.CodeType, _offset: int) -> None:
            seen.append(code)

    seen: list[object] = []
    start(Tool(), Tool.__call__.__code__)
    work()
    assert seen == [work.__code__]
