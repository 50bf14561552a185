# records starts, returns, generators, exceptions
"""Coroutines that are driven by hand: awaits that wait, that do not, that fail."""

from types import coroutine


class Problem(Exception):
    pass


@coroutine
def wait(value):
    return (yield value)


class Awaitable:
    def __await__(self):
        got = yield "awaitable"
        return got


async def at_once():
    return 1


async def twice():
    first = await wait("first")
    second = await Awaitable()
    return first, second


async def deep(n):
    if n:
        return await deep(n - 1)
    return await wait("deep")


async def fails():
    await at_once()
    raise Problem


async def handles():
    try:
        await fails()
    except Problem:
        return await wait("handled")


async def cleans():
    try:
        await wait("cleans")
    finally:
        await at_once()


def drive(main, *sent):
    """Send values until the coroutine ends; an exception is thrown."""
    running = main()
    try:
        running.send(None)
        for each in sent:
            if isinstance(each, type):
                running.throw(each)
            else:
                running.send(each)
    except (StopIteration, Problem):
        pass
    running.close()


drive(at_once)
drive(twice, 1, 2)
drive(lambda: deep(2), 1)
drive(fails)
drive(handles, 1)
drive(twice, Problem)
drive(handles, Problem)
drive(cleans, Problem)
drive(cleans, 1)
drive(cleans)
