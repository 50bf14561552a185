# records branches
"""match: classes, nested patterns, alternatives that bind names."""

from dataclasses import dataclass


@dataclass
class Point:
    x: int
    y: int


def place(a):
    match a:
        case Point(x=0, y=0):
            return "origin"
        case Point(0, y):
            return y
        case Point(x, 0) | Point(0, x):
            return x
        case Point() as point:
            return point


def nested(a):
    match a:
        case [Point(x, y), *_] if x == y:
            return "diagonal"
        case {"points": [Point(), Point()]}:
            return "two"
        case (int() | str()) as plain:
            return plain


for a in (Point(0, 0), Point(0, 1), Point(1, 0), Point(1, 1), 5):
    place(a)
for a in ([Point(1, 1)], [Point(1, 2)], {"points": [Point(0, 0)] * 2}, {"points": []}, "a", None):
    nested(a)
