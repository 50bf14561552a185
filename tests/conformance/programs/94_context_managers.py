# records exceptions, generators
"""Generators as context managers and in exit stacks: exceptions thrown in by the library."""

from contextlib import ExitStack, contextmanager, suppress


@contextmanager
def quiet():
    yield "quiet"


@contextmanager
def catches():
    try:
        yield "catches"
    except KeyError:
        pass


@contextmanager
def cleans():
    try:
        yield "cleans"
    finally:
        cleaned.append(1)


@contextmanager
def replaces():
    try:
        yield
    except KeyError:
        raise OSError from None


def attempt(manager):
    try:
        with manager():
            raise KeyError
    except (KeyError, OSError) as error:
        return type(error)


cleaned = []
for manager in (quiet, catches, cleans, replaces):
    attempt(manager)
with quiet() as value, cleans():
    cleaned.append(value)
with suppress(KeyError), cleans():
    raise KeyError
with ExitStack() as stack:
    stack.enter_context(catches())
    stack.callback(cleaned.append, 2)
    raise KeyError
