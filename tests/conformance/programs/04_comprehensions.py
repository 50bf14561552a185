"""Comprehensions and generator expressions."""


def lists(n):
    return [x * x for x in range(n)]


def over_lines(n):
    return [
        x * y
        for x in range(n)
        if x
        for y in range(x)
    ]  # fmt: skip


def sets_and_dicts(words):
    lengths = {len(word) for word in words}
    table = {
        word: len(word)
        for word in words
    }  # fmt: skip
    return len(lengths) + len(table)


def nested(n):
    return [[y for y in range(x)] for x in range(n)]


def closures(n):
    functions = [lambda: x for x in range(n)]
    return [function() for function in functions]


def named(values):
    return [half for value in values if (half := value // 2)], half


def generator_expressions(n):
    total = sum(x for x in range(n))
    some = any(
        x > 1
        for x in range(n)
    )  # fmt: skip
    return total, some


class Body:
    size = 2
    items = [number for number in range(size)]


def raises(values):
    try:
        return [
            1 // value
            for value in values
        ]  # fmt: skip
    except ZeroDivisionError:
        return []


lists(2)
lists(0)
over_lines(3)
sets_and_dicts(["a", "bc"])
nested(3)
closures(2)
named([2, 5])
generator_expressions(3)
raises([1, 0])
[x for x in "ab"]
tuple(x for x in "ab")
