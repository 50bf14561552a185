"""Fires every event in every way, with the module `producer` that is given: run under AddressSanitizer.

Prints the functions that told their tool. It must not need pytest, nor judge but by that.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import build
import monitrace
from scopes import FUNCTIONS, CodeLike, Scope

TOOL = 2


def main(path: str, *arguments: str) -> None:
    """Fire, with the module at the path; or read beyond a scope's states, if told to."""
    producer = build.load(Path(path))
    monitoring = monitrace.install()
    everything = Scope(producer, *(function.event for function in FUNCTIONS))
    if arguments:
        producer.overrun(everything.capsule)
    monitoring.use_tool_id(TOOL, "sanitized")

    def callback_for(told: list[object], answer: object) -> Callable[..., object]:
        def callback(code: object, *values: object) -> object:
            # The script fires events too.
            if not isinstance(code, CodeLike):
                return None
            told.extend(values)
            return answer

        return callback

    for function in FUNCTIONS:
        told: list[object] = []
        event = getattr(monitoring.events, function.event)
        monitoring.register_callback(TOOL, event, callback_for(told, None))
        monitoring.set_events(TOOL, getattr(monitoring.events, function.enables))
        for scope in (everything, Scope(producer, function.event), everything):
            with scope:
                for _ in range(3):
                    scope.fire(function)
        monitoring.register_callback(TOOL, event, callback_for(told, monitoring.DISABLE))
        with everything:
            for _ in range(2):
                try:
                    everything.fire(function)
                except ValueError:
                    assert not function.can_be_disabled
        monitoring.set_events(TOOL, 0)
        monitoring.register_callback(TOOL, event, None)
        if told:
            print(function.name)
    monitoring.free_tool_id(TOOL)


if __name__ == "__main__":
    main(*sys.argv[1:])
