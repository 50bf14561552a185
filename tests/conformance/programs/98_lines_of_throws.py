# records lines, starts, generators
"""LINE for what is thrown into generators and coroutines that wait for others."""


class Switch:
    def __await__(self):
        yield 1
        yield 2


def inner():
    yield 1
    yield 2


def outer():
    yield from inner()


def handles():
    try:
        yield from inner(
            # over lines
        )
    except KeyError:
        yield 3


def over_list():
    value = 0
    yield from [1, 2]
    return value


def plain():
    yield 1


async def awaits():
    await Switch()


async def manages():
    async with Managed():
        await awaits()


class Managed:
    async def __aenter__(self):
        await Switch()

    async def __aexit__(self, *raised):
        await Switch()


def throw(generator, sends):
    for _ in range(sends):
        generator.send(None)
    try:
        generator.throw(KeyError)
    except (KeyError, RuntimeError):
        pass
    generator.close()


for function in (outer, handles, over_list, plain, awaits):
    throw(function(), 1)
    throw(function(), 1 if function is plain else 2)
throw(outer(), 0)
for sends in (1, 3, 5):
    throw(manages(), sends)
waiting = outer()
next(waiting)
waiting.close()
del waiting
