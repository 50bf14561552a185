# records instructions
"""INSTRUCTION: a line at a time, since how many there are depends on the version."""


def straight(a):
    b = a + 1
    c = b * 2
    return c


def calls(a):
    b = straight(a)
    return straight(
        b
    )  # fmt: skip


def loop(n):
    total = 0
    for i in range(n):
        total += i
    return total


def choose(a):
    if a:
        return "yes"
    return "no"


def handles():
    try:
        int("x")
    except ValueError:
        result = 1
    return result


def generate():
    yield 1
    yield 2


calls(1)
loop(2)
choose(0), choose(1)
handles()
for _ in generate():
    pass
