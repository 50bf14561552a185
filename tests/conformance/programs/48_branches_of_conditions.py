# records branches
"""Conditions within expressions: and, or, not, chains of comparisons, assert, any."""


def conjunction(a, b):
    return a and b


def disjunction(a, b):
    return a or b


def mixed(a, b, c):
    return (a and b) or (not c)


def chained(a, b, c):
    return a < b < c


def chained_condition(a, b, c):
    if a < b < c:
        return 1
    return 2


def asserts(a):
    assert a, "message"


def nested_ternary(a, b):
    return 1 if a else 2 if b else 3


def walrus(a):
    if (b := a) and b > 1:
        return b


def default(a=None):
    a = [] if a is None else a
    return a


for a in (0, 1):
    for b in (0, 1):
        conjunction(a, b)
        disjunction(a, b)
        nested_ternary(a, b)
        for c in (0, 2):
            mixed(a, b, c)
            chained(a, b, c)
            chained_condition(a, b, c)
walrus(0), walrus(1), walrus(2)
default(), default(1)
asserts(1)
try:
    asserts(0)
except AssertionError:
    pass
