"""Coroutines: producers and consumers with queues between them, on an event loop of a few lines."""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Generator
    from typing import Any

WARM, SIZE, COUNTED = 30, 40_000, 1000
FAMILIES = ("calls", "branches", "yields", "jumps", "exceptions")

END = -1


class Turn:
    """Waits for one turn of the loop."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class Channel:
    """Holds one thing at a time."""

    def __init__(self) -> None:
        self.things: deque[int] = deque()

    async def put(self, thing: int) -> None:
        while self.things:
            await Turn()
        self.things.append(thing)

    async def get(self) -> int:
        while not self.things:
            await Turn()
        return self.things.popleft()

    async def all(self) -> AsyncIterator[int]:
        while (thing := await self.get()) != END:
            yield thing


async def produce(channel: Channel, count: int) -> int:
    for number in range(count):
        await channel.put(number)
    await channel.put(END)
    return 0


async def double(source: Channel, target: Channel) -> int:
    async for number in source.all():
        await target.put(2 * number)
    await target.put(END)
    return 0


async def add(channel: Channel) -> int:
    total = 0
    async for number in channel.all():
        total += number
    return total


def loop(tasks: list[Coroutine[Any, Any, int]]) -> int:
    """Give each task its turns until all have ended, and the sum of what they return."""
    total = 0
    waiting = deque(tasks)
    while waiting:
        task = waiting.popleft()
        try:
            task.send(None)
        except StopIteration as end:
            total += end.value
        else:
            waiting.append(task)
    return total


def run(size: int) -> int:
    first, second = Channel(), Channel()
    return loop([produce(first, size), double(first, second), add(second)])


def is_right(size: int, answer: float) -> bool:
    return answer == size * (size - 1)
