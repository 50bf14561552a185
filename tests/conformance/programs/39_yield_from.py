# records generators, exceptions, returns
"""yield from: values, sends, throws and closes pass through to the innermost generator."""


class Problem(Exception):
    pass


def inner():
    try:
        received = yield 1
        yield received
    except Problem:
        yield "caught"
    return "inner"


def middle():
    result = yield from inner()
    return "middle", result


def outer():
    try:
        result = yield from middle()
    except KeyError:
        result = "key"
    yield result


def plain_iterable():
    yield from [1, 2]
    yield from range(1)


class Iterator:
    """Has throw and close by itself, and no code of a generator."""

    def __iter__(self):
        return self

    def __next__(self):
        return "next"

    def throw(self, *raised):
        return "thrown"

    def close(self):
        return None


def over_iterator():
    yield from Iterator()


list(outer())
generator = outer()
next(generator), generator.send("sent"), next(generator)
generator.close()
generator = outer()
next(generator)
generator.throw(Problem), next(generator)
generator.close()
generator = outer()
next(generator), generator.throw(KeyError)
generator.close()
generator = middle()
next(generator), generator.close()
list(plain_iterable())
generator = over_iterator()
next(generator), generator.throw(Problem), generator.close()
try:
    generator = middle()
    next(generator), generator.throw(OSError)
except OSError:
    pass
