# records jumps
"""JUMP: back to the head of a loop, over the rest of a statement, out of try and with."""

from contextlib import nullcontext


def loop(n):
    for i in range(n):
        n += i
    return n


def if_else(a):
    if a:
        b = 1
    else:
        b = 2
    return b


def elif_chain(a):
    if a == 0:
        b = "zero"
    elif a == 1:
        b = "one"
    else:
        b = "more"
    b += "!"
    return b


def leaves(n):
    while True:
        n -= 1
        if n < 0:
            break
    return n


def tried(n):
    for i in range(n):
        try:
            n += int("1")
        except ValueError:
            n += 2
        else:
            n += 3
    return n


def managed(n):
    for i in range(n):
        with nullcontext():
            n += i
    return n


for a in range(3):
    loop(a)
    if_else(a)
    elif_chain(a)
    leaves(a)
    tried(a)
    managed(a)
