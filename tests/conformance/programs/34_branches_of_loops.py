# records branches, jumps
"""Loops: into the body, past it, continue, break, else."""


def plain(n):
    total = 0
    for i in range(n):
        total += i
    return total


def leaves(n):
    for i in range(n):
        if i == 1:
            break
    else:
        return "to the end"
    return "left"


def skips(n):
    total = 0
    for i in range(n):
        if i == 1:
            continue
        total += i
    return total


def nested(n):
    for i in range(n):
        for j in range(i):
            i += j
    return n


def over_generator():
    for each in (i for i in (1, 2)):
        last = each
    return last


def unpacks():
    for a, b in [(1, 2), (3, 4)]:
        a += b
    return a


for n in (0, 1, 3):
    plain(n)
    leaves(n)
    skips(n)
    nested(n)
over_generator()
unpacks()
