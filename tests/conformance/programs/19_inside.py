"""What a program sees of itself while it is monitored: frames, code objects, tracebacks."""

import inspect
import sys
import traceback
import types


def own_code():
    frame = sys._getframe()
    return frame.f_code is own_code.__code__, frame.f_code.co_name, frame.f_lineno


def caller():
    frame = sys._getframe(1)
    return frame.f_code.co_name, frame.f_lineno


def calls():
    first = caller()
    return first, caller()


def fails(n):
    if n:
        fails(n - 1)
    raise ValueError(n)


def trace_lines():
    try:
        fails(1)
    except ValueError as error:
        first, second, third = traceback.extract_tb(error.__traceback__)
        return first.lineno, second.lineno, third.lineno, third.name


def formatted():
    try:
        fails(0)
    except ValueError:
        return traceback.format_exc().count("fails")


def generate():
    yield sys._getframe().f_code is generate.__code__


def suspended():
    generator = generate()
    state = inspect.getgeneratorstate(generator)
    code = generator.gi_code is generate.__code__
    return state, code, next(generator), inspect.getgeneratorstate(generator)


def replaced():
    return "before"


def replacement():
    return "after"


def arguments(a, b=1, *c, d, **e):
    return sorted(inspect.currentframe().f_locals)


def same_code():
    code = own_code.__code__
    copy = types.FunctionType(code, globals())
    return copy.__code__ is code, copy.__code__ == code, code.replace() == code


def names():
    code = arguments.__code__
    return code.co_varnames, code.co_argcount, code.co_firstlineno - names.__code__.co_firstlineno


own_code()
calls()
trace_lines()
formatted()
suspended()
replaced()
replaced.__code__ = replacement.__code__
replaced()
arguments(1, d=2)
same_code()
names()
str(inspect.signature(arguments))
