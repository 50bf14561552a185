# records branches, jumps, lines
"""While loops. Each version's compiler has a shape of its own for their condition."""


def plain(n):
    while n:
        n -= 1
    return n


def leaves(n):
    while n:
        if n == 2:
            break
        n -= 1
    else:
        return "to the end"
    return "left"


def endless(n):
    while True:
        n -= 1
        if n < 0:
            return n


def two_conditions(n):
    while n > 0 and n != 5:
        n -= 1
    return n


def skips(n):
    total = 0
    while n:
        n -= 1
        if n == 1:
            continue
        total += n
    return total


for n in (0, 3):
    plain(n)
    leaves(n)
    endless(n)
    two_conditions(n)
    skips(n)
