# records branches
"""Both sides of if, elif and else."""


def single(a):
    if a:
        return 1
    return 2


def chain(a):
    if a == 1:
        result = "one"
    elif a == 2:
        result = "two"
    elif a is None:
        result = "none"
    else:
        result = "other"
    return result


def inverted(a):
    if not a:
        return 1
    return 2


def identity(a):
    if a is not None:
        return 1
    return 2


def nested(a, b):
    if a:
        if b:
            return 1
        else:
            return 2
    return 3


def both(a, b):
    if a and b:
        return 1
    if a or b:
        return 2
    return 3


def ternary(a):
    return (
        1
        if a
        else 2
    )  # fmt: skip


for a in (0, 1, 2, None):
    single(a)
    chain(a)
    inverted(a)
    identity(a)
    ternary(a)
    for b in (0, 1):
        nested(a, b)
        both(a, b)
