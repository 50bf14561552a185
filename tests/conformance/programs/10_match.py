"""The match statement."""


class Point:
    __match_args__ = ("x", "y")

    def __init__(self, x, y):
        self.x = x
        self.y = y


def kind(value):
    match value:
        case 0:
            return "zero"
        case 1 | 2:
            return "small"
        case str() as text:
            return text
        case [first]:
            return first
        case [first, *rest] if rest[0] == first:
            return "pair"
        case (
            [_, _]
            | [_, _, _]
        ):  # fmt: skip
            return "sequence"
        case {"key": found, **others}:
            return found, len(others)
        case Point(0, y):
            return y
        case Point(x=x, y=y) if x == y:
            return "diagonal"
        case Point():
            pass
        case None | True | False:
            return "singleton"
        case _:
            return "other"
    return "after"


def falls_through(value):
    match value:
        case 1:
            pass
        case 2:
            value += 1
    return value


def on_a_tuple(a, b):
    match a, b:
        case (1, _):
            result = "left"
        case (_, 1):
            result = "right"
        case _:
            result = "neither"
    return result


for value in (0, 2, "text", [5], [1, 1], [1, 2, 3], {"key": 1, "more": 2}, None, 1.5):
    kind(value)
kind(Point(0, 4))
kind(Point(3, 3))
kind(Point(1, 2))
for value in (1, 2, 3):
    falls_through(value)
on_a_tuple(1, 0)
on_a_tuple(0, 1)
on_a_tuple(0, 0)
match value:
    case 3:
        matched = True
