"""The with statement: ways in and ways out."""


class Manager:
    def __init__(self, swallow=False):
        self.swallow = swallow

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        return self.swallow


def falls_out():
    with Manager():
        inside = 1
    return inside


def returns():
    with Manager() as manager:
        return manager.swallow


def returns_constant():
    with Manager():
        return 5


def swallows():
    with Manager(True):
        raise ValueError
    return "after"


def passes_on():
    with Manager():
        raise ValueError


def several():
    with Manager() as a, Manager() as b:
        same = a is b
    with (
        Manager() as a,
        Manager(True) as b,
    ):
        raise KeyError
    return same


def nested():
    with Manager():
        with Manager(True):
            raise KeyError
        after = 1
    return after


def in_a_loop():
    seen = 0
    for i in range(3):
        with Manager():
            if i == 0:
                continue
            if i == 2:
                break
            seen = i
    return seen


def over_lines():
    with Manager(
        swallow=False,
    ) as manager:
        pass
    return manager.swallow


falls_out()
returns()
returns_constant()
swallows()
try:
    passes_on()
except ValueError:
    pass
several()
nested()
in_a_loop()
over_lines()
with Manager(): pass  # fmt: skip
with Manager(True): 1 / 0  # fmt: skip
