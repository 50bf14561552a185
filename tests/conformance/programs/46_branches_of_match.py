# records branches, lines
"""match: values, sequences, mappings, guards."""


def values(a):
    match a:
        case 1:
            return "one"
        case "two" | "three":
            return "word"
        case None:
            return "none"
        case _:
            return "other"


def sequences(a):
    match a:
        case []:
            return 0
        case [first]:
            return first
        case [first, *rest]:
            return len(rest)


def mappings(a):
    match a:
        case {"kind": "point", "x": x}:
            return x
        case {"kind": kind}:
            return kind
    return "no match"


def guarded(a):
    match a:
        case int(n) if n > 1:
            return "big"
        case int():
            return "int"


for a in (1, "three", None, 2.5):
    values(a)
for a in ([], [1], [1, 2], 3):
    sequences(a)
for a in ({"kind": "point", "x": 1}, {"kind": "line"}, {}, 4):
    mappings(a)
for a in (2, 1, "a"):
    guarded(a)
