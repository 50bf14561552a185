# records branches
"""Branches of comprehensions and generator expressions."""


def listed(n):
    return [i for i in range(n)]


def filtered(n):
    return [i for i in range(n) if i]


def chosen(n):
    return {i if i else -1 for i in range(n)}


def nested(n):
    return {i: j for i in range(n) for j in range(i) if j < i}


def generated(n):
    return list(i for i in range(n) if i != 1)


def summed(n):
    return sum(i for i in range(n) if not i % 2)


for n in (0, 3):
    listed(n)
    filtered(n)
    chosen(n)
    nested(n)
    generated(n)
    summed(n)
