"""Asynchronous comprehensions and generator expressions, driven by hand."""


class Switch:
    """Awaitable that gives control back once."""

    def __init__(self, value):
        self.value = value

    def __await__(self):
        sent = yield self.value
        return sent


def drive(coroutine):
    sent = None
    try:
        while True:
            sent = coroutine.send(sent)
    except StopIteration as stop:
        return stop.value


async def numbers(n):
    for i in range(n):
        await Switch(i)
        yield i


async def lists():
    return [2 * i async for i in numbers(2)]


async def sets():
    chosen = {i async for i in numbers(3) if await Switch(i)}
    return len(chosen)


async def awaits():
    table = {i: await Switch(i) for i in range(1)}
    return table[0]


async def lazy():
    expression = (i + 1 async for i in numbers(2))
    total = 0
    async for i in expression:
        total += i
    return total


async def over_lines():
    return [
        i
        async for i in numbers(2)
        if i
    ]  # fmt: skip


drive(lists())
drive(sets())
drive(awaits())
drive(lazy())
drive(over_lines())
