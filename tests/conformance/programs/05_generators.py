"""Generators: send, throw, close, delegation, return values."""


def count(n):
    for i in range(n):
        yield i
    return n


def echo():
    received = None
    while True:
        received = yield received
        if received == "stop":
            return "stopped"


def robust():
    while True:
        try:
            yield 1
        except ValueError:
            yield 2
        finally:
            cleaned = True
            assert cleaned


def delegating():
    result = yield from count(2)
    yield result
    result = yield from [7]
    return result


def delegating_throw():
    try:
        yield from robust()
    except KeyError:
        yield "caught"


def empty():
    return
    yield


def returns_from_finally():
    try:
        yield 1
    finally:
        yield 2


def unstarted():
    yield


list(count(2))
generator = echo()
next(generator)
generator.send("a")
try:
    generator.send("stop")
except StopIteration as stop:
    stop.value

generator = robust()
next(generator)
generator.throw(ValueError)
generator.close()

list(delegating())
generator = delegating_throw()
next(generator)
generator.throw(ValueError())
generator.throw(KeyError())
list(generator)
list(empty())
generator = returns_from_finally()
next(generator)
next(generator)
generator.close()
unstarted().close()
try:
    unstarted().throw(OSError)
except OSError:
    pass
for left, right in zip(count(1), count(2)):
    pass
first, second = count(2)
max(*count(3))
