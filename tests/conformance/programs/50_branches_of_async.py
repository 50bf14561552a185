# records branches
"""Branches of async for and of coroutines."""


async def generate(n):
    for i in range(n):
        yield i


async def loop(n):
    total = 0
    async for i in generate(n):
        total += i
    return total


async def leaves(n):
    async for i in generate(n):
        if i:
            break
    else:
        return "to the end"
    return "left"


async def at_once(a):
    if a:
        return 1
    return 2


async def conditions(a):
    if await at_once(a) == 1:
        return "one"
    return "two"


def drive(running):
    try:
        running.send(None)
    except StopIteration:
        pass


for n in (0, 2):
    drive(loop(n))
    drive(leaves(n))
    drive(conditions(n))
