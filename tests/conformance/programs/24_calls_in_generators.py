# records calls, starts
"""Calls in generators, coroutines, comprehensions and context managers."""


class Manager:
    def __enter__(self):
        return len("ab")

    def __exit__(self, *args):
        return True

    async def __aenter__(self):
        return len("ab")

    async def __aexit__(self, *args):
        return True


def generate(n):
    for i in range(n):
        yield abs(i)


def delegate(n):
    yield len((yield from generate(n)) or "abc")


async def wait():
    return len("ab")


async def use():
    await wait()
    async with Manager() as value:
        abs(value)
    async with Manager():
        int("x")
    return [abs(i) async for i in aiterate()]


async def aiterate():
    yield abs(-1)


def drive(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value


def managed():
    with Manager() as value:
        abs(value)
    with Manager(), Manager():
        int("x")


list(generate(2))
list(delegate(1))
next(delegate(1))
sum(abs(i) for i in (1, 2))
drive(use())
managed()
generator = generate(3)
next(generator)
generator.close()
