# records generators, exceptions
"""async with: ways in and ways out."""

from types import coroutine


class Problem(Exception):
    pass


@coroutine
def wait(value):
    yield value


class Manager:
    def __init__(self, suppresses=False):
        self.suppresses = suppresses

    async def __aenter__(self):
        await wait("enter")
        return self

    async def __aexit__(self, kind, error, trace):
        await wait("exit")
        return self.suppresses


async def plain():
    async with Manager() as manager:
        await wait("body")
    return manager


async def suppressed():
    async with Manager(True):
        raise Problem
    return "after"


async def passed_on():
    async with Manager():
        raise Problem


async def two():
    async with Manager() as first, Manager(True):
        await wait(first.suppresses)
        return "returned"


def drive(running):
    try:
        while True:
            running.send(None)
    except (StopIteration, Problem):
        pass


drive(plain())
drive(suppressed())
drive(passed_on())
drive(two())
