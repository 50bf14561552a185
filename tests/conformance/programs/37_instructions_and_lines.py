# records instructions, lines, starts, returns, calls
"""At one place LINE comes before INSTRUCTION, and both before the others."""


def straight(a):
    b = a + 1
    return b


def calls(a):
    b = straight(a)
    return len("ab") + b


def loop(n):
    for i in range(n):
        n += i
    return n


def generate():
    received = yield 1
    return received


def one_line(a): return a  # fmt: skip


calls(1)
loop(2)
list(generate())
one_line(1)
