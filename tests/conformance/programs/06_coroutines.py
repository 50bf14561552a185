"""Coroutines and asynchronous generators, driven by hand."""


class Switch:
    """Awaitable that gives control back once."""

    def __init__(self, value):
        self.value = value

    def __await__(self):
        sent = yield self.value
        return sent


class Ticker:
    """Asynchronous iterator."""

    def __init__(self, n):
        self.n = n

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.n == 0:
            raise StopAsyncIteration
        self.n -= 1
        return self.n


class Manager:
    """Asynchronous context manager that swallows ValueError."""

    async def __aenter__(self):
        return await Switch("enter")

    async def __aexit__(self, kind, error, traceback):
        await Switch("exit")
        return kind is ValueError


def drive(coroutine):
    sent = None
    try:
        while True:
            sent = coroutine.send(sent)
    except StopIteration as stop:
        return stop.value


async def simple():
    return 1


async def awaits():
    first = await simple()
    second = await Switch(2)
    return first, second


async def loops():
    total = 0
    async for tick in Ticker(2):
        total += tick
    else:
        total += 10
    return total


async def managed(error):
    async with Manager() as value:
        if error:
            raise error
        return value
    return "swallowed"


async def numbers(n):
    for i in range(n):
        await Switch(i)
        yield i


async def closes_early():
    generator = numbers(3)
    async for i in generator:
        break
    await generator.aclose()
    return i


async def sends():
    async def echo():
        got = yield 1
        while got:
            got = yield got

    generator = echo()
    first = await generator.asend(None)
    second = await generator.asend(5)
    return first, second, await generator.asend(6)


drive(simple())
drive(awaits())
drive(loops())
drive(managed(None))
drive(managed(ValueError()))
try:
    drive(managed(KeyError()))
except KeyError:
    pass
drive(closes_early())
drive(sends())
coroutine = awaits()
coroutine.send(None)
coroutine.close()
