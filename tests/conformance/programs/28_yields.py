# records starts, returns, generators
"""Generators that are resumed by next, send and for; what they yield and return."""


def count(n):
    for i in range(n):
        yield i
    return n


def echo():
    received = yield "ready"
    while received:
        received = yield received, len(received)
    return "done"


def several():
    yield 1; yield 2  # fmt: skip
    pair = (yield 3), (yield 4)
    yield pair


def in_expressions(n):
    total = [(yield n), *((yield n + 1) or ())]
    if (yield "condition"):
        return total
    return f"{(yield 'formatted')}"


def empty():
    return
    yield


def endless():
    while True:
        yield


def expression(items):
    return (each * 2 for each in items if each)


list(count(2))
for _ in count(1):
    pass
generator = echo()
next(generator), generator.send("a"), generator.send("bc")
try:
    generator.send(None)
except StopIteration:
    pass
list(several())
list(in_expressions(1))
list(empty())
first = endless()
next(first), next(first)
list(expression([0, 1, 2]))
next(count(0), None)
sum(count(3)), max(*count(2)), "".join(map(str, count(1)))
first, second = count(2)
head, *tail = count(3)
1 in count(2), 5 in count(2)
