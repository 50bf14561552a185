"""Where tracebacks say that an error was, while events are on."""

from collections.abc import Iterator

import monitrace
import pytest

monitoring = monitrace.install()
TOOL_ID = 4
EVENTS = monitoring.events


def fails() -> None:
    raise ValueError


def sees_events() -> None:
    pass


def lines() -> list[tuple[str, int]]:
    """The function and the line of each entry, counted from the function's first."""
    try:
        fails()
    except ValueError as error:
        entry = error.__traceback__
    shown = []
    while entry is not None:
        code = entry.tb_frame.f_code
        shown.append((code.co_name, entry.tb_lineno - code.co_firstlineno))
        entry = entry.tb_next
    return shown


@pytest.fixture(autouse=True)
def tool() -> Iterator[None]:
    monitoring.use_tool_id(TOOL_ID, "test")
    yield
    monitoring.free_tool_id(TOOL_ID)


def test_lines_are_the_same_with_events_elsewhere_and_here() -> None:
    plain = lines()
    assert plain == [("lines", 3), ("fails", 1)]
    monitoring.register_callback(TOOL_ID, EVENTS.LINE, lambda _code, _line: None)
    monitoring.set_local_events(TOOL_ID, sees_events.__code__, EVENTS.LINE)
    sees_events()
    assert lines() == plain
    monitoring.set_events(TOOL_ID, EVENTS.LINE)
    assert lines() == plain
    monitoring.set_events(TOOL_ID, 0)
    assert lines() == plain
