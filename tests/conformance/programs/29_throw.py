# records generators, exceptions, returns
"""Exceptions thrown into generators: caught, passed on, turned into others."""


class Problem(Exception):
    pass


def catches():
    try:
        yield 1
    except Problem:
        yield "caught"
    yield "after"


def passes():
    yield 1
    yield 2


def cleans():
    try:
        yield 1
    finally:
        done = True
    return done


def replaces():
    try:
        yield 1
    except Problem as problem:
        raise KeyError("other") from problem


def answers_with_stop():
    try:
        yield 1
    except Problem:
        return "stopped"


def raises_stop():
    yield 1
    raise StopIteration


def attempt(generator, *thrown):
    try:
        next(generator)
        for each in thrown:
            generator.throw(each)
        next(generator)
    except (Problem, KeyError, StopIteration, RuntimeError):
        pass


attempt(catches(), Problem)
attempt(catches(), Problem())
attempt(catches(), KeyError())
attempt(catches(), Problem, Problem)
attempt(passes(), Problem)
attempt(passes())
attempt(cleans(), Problem)
attempt(replaces(), Problem)
attempt(answers_with_stop(), Problem)
attempt(raises_stop())
try:
    passes().throw(Problem)
except Problem:
    pass
finished = passes()
list(finished)
try:
    finished.throw(Problem)
except Problem:
    pass
