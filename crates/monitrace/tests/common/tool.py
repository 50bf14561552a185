"""A tool that keeps what it is told of code-likes, for the tests in Rust."""

import sys


class CodeLike:
    """A code object for code that is not Python's."""

    co_name = "work"
    co_qualname = "Shop.work"
    co_filename = "shop.tmpl"
    co_firstlineno = 7


def bit(event: str) -> int:
    """The bit of an event, which is that of both sides of a branch where there is none for each."""
    events = sys.monitoring.events
    return getattr(events, event, 0) or events.BRANCH


class Tool:
    """In use from the start. What it is told stands in `told`: the event, and what comes after the code."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.told: list[tuple[object, ...]] = []
        self.codes: list[object] = []
        self.answer: object = None
        self.error: BaseException | None = None
        sys.monitoring.use_tool_id(number, "test")

    def register(self, event: str, callback) -> None:
        """Have a callback called with the event's arguments. The tests' own code is none of its business."""

        def of_code_likes(code, *arguments):
            return callback(code, *arguments) if isinstance(code, CodeLike) else None

        sys.monitoring.register_callback(self.number, bit(event), of_code_likes)

    def note(self, event: str) -> None:
        """Keep what is told of an event, then raise the error or give the answer."""

        def callback(code, *arguments):
            self.told.append((event, *arguments))
            self.codes.append(code)
            if self.error is not None:
                raise self.error
            return self.answer

        self.register(event, callback)

    def set_events(self, *events: str) -> None:
        """Set events of all code. The end of a call is told to those who want calls."""
        bits = 0
        for event in events:
            bits |= bit("CALL" if event in ("C_RETURN", "C_RAISE") else event)
        sys.monitoring.set_events(self.number, bits)

    def listen(self, *events: str) -> None:
        """Keep what is told of these events, in all code."""
        for event in events:
            self.note(event)
        self.set_events(*events)

    def take(self) -> list[tuple[object, ...]]:
        """What was told since it was last asked."""
        told, self.told = self.told, []
        return told

    def free(self) -> None:
        """Leave everything as it was."""
        for name, event in vars(sys.monitoring.events).items():
            if name != "NO_EVENTS":
                sys.monitoring.register_callback(self.number, event, None)
        sys.monitoring.set_events(self.number, 0)
        sys.monitoring.free_tool_id(self.number)
