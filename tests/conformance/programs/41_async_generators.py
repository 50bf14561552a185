# records generators, exceptions, returns
"""Asynchronous generators: asend, athrow, aclose, async for."""

from types import coroutine


class Problem(Exception):
    pass


@coroutine
def wait(value):
    return (yield value)


async def generate(n):
    for i in range(n):
        received = yield i
        if received:
            await wait(received)


async def catches():
    try:
        yield 1
    except Problem:
        yield 2


async def cleans():
    try:
        yield 1
    finally:
        await wait("cleaning")


async def over_all():
    total = 0
    async for each in generate(2):
        total += each
    return total


async def sends():
    generator = generate(3)
    await generator.asend(None)
    await generator.asend("received")
    await generator.aclose()


async def throws():
    generator = catches()
    await generator.__anext__()
    await generator.athrow(Problem)
    try:
        await generator.athrow(KeyError)
    except KeyError:
        pass


async def leaves():
    generator = cleans()
    async for _ in generator:
        break
    await generator.aclose()


def drive(running):
    try:
        while True:
            running.send(None)
    except StopIteration:
        pass


drive(over_all())
drive(sends())
drive(throws())
drive(leaves())
