"""A callback may have the frame that it is told of jump, by setting `f_lineno`."""

import sys
from collections.abc import Iterator
from types import CodeType, FrameType, ModuleType

import monitrace
import pytest

TOOL = 4


def jump(frame: FrameType, line: int) -> None:
    """Set the line. Stubs have it read-only."""
    vars(FrameType)["f_lineno"].__set__(frame, line)


@pytest.fixture
def monitoring() -> Iterator[ModuleType]:
    module = monitrace.install()
    module.use_tool_id(TOOL, "test")
    yield module
    module.free_tool_id(TOOL)


def work() -> list[object]:
    found: list[object] = []
    for i in range(3):
        found.append(i)
        found.append("left out")
        found.append(-i)
    return found


FIRST = work.__code__.co_firstlineno


def test_a_line_is_left_out(monitoring: ModuleType) -> None:
    def on_line(code: CodeType, line: int) -> None:
        if code is work.__code__ and line == FIRST + 4:
            jump(sys._getframe(1), line + 1)

    monitoring.register_callback(TOOL, monitoring.events.LINE, on_line)
    monitoring.set_local_events(TOOL, work.__code__, monitoring.events.LINE)
    assert work() == [0, 0, 1, -1, 2, -2]


@pytest.mark.parametrize(("line", "where"), [(1, "before"), (10**6, "after")])
def test_a_line_that_the_code_does_not_have(monitoring: ModuleType, line: int, where: str) -> None:
    errors: list[str] = []

    def on_line(code: CodeType, _line: int) -> None:
        if code is work.__code__ and not errors:
            with pytest.raises(ValueError, match="line") as caught:
                jump(sys._getframe(1), line)
            errors.append(str(caught.value))

    monitoring.register_callback(TOOL, monitoring.events.LINE, on_line)
    monitoring.set_events(TOOL, monitoring.events.LINE)
    assert len(work()) == 9
    monitoring.set_events(TOOL, 0)
    assert errors == [f"line {line} comes {where} the current code block"]


@pytest.mark.parametrize("event", ["PY_START", "CALL", "PY_RETURN"])
def test_an_event_at_which_no_frame_jumps(monitoring: ModuleType, event: str) -> None:
    refused: list[bool] = []

    def callback(code: CodeType, *_: object) -> None:
        if code is work.__code__:
            with pytest.raises(ValueError, match="jump"):
                jump(sys._getframe(1), FIRST + 3)
            refused.append(True)

    wanted = getattr(monitoring.events, event)
    monitoring.register_callback(TOOL, wanted, callback)
    monitoring.set_local_events(TOOL, work.__code__, wanted)
    assert len(work()) == 9
    assert refused
