# records generators, exceptions, starts, returns
"""Generators that are closed: suspended, unstarted, finished, unwilling, and dropped."""


def plain():
    yield 1
    yield 2


def cleans():
    try:
        yield 1
    finally:
        done = True
        assert done


def unwilling():
    try:
        yield 1
    except GeneratorExit:
        yield "still here"


def answers():
    try:
        yield 1
    except GeneratorExit:
        return "answer"


def fails():
    try:
        yield 1
    except GeneratorExit:
        raise KeyError("at the end") from None


def inside_with():
    with Manager():
        yield 1


class Manager:
    def __enter__(self):
        return self

    def __exit__(self, *raised):
        return False


def start(generator):
    next(generator)
    return generator


start(plain()).close()
plain().close()
finished = plain()
list(finished)
finished.close()
start(cleans()).close()
start(answers()).close()
start(inside_with()).close()
try:
    start(unwilling()).close()
except RuntimeError:
    pass
try:
    start(fails()).close()
except KeyError:
    pass
dropped = start(cleans())
del dropped
twice = start(plain())
twice.close(), twice.close()
