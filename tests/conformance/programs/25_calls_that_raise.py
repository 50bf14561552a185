# records calls, starts
"""Calls that end in an exception, caught at every distance."""


class Raises:
    def __init__(self, *args):
        int("x")

    def __call__(self):
        raise KeyError


def raise_it(*args):
    raise ValueError


def builtin():
    try:
        len(1)
    except TypeError:
        return abs(-1)


def function():
    try:
        raise_it()
    except ValueError:
        pass
    try:
        raise_it(*[1])
    except ValueError:
        pass


def classes():
    try:
        Raises()
    except ValueError:
        pass
    try:
        Raises.__call__(object.__new__(Raises))
    except KeyError:
        pass
    try:
        object.__new__(Raises)()
    except KeyError:
        pass


def not_callable():
    nothing = None
    try:
        nothing()
    except TypeError:
        pass
    try:
        nothing(*[1])
    except TypeError:
        pass


def wrong_arguments():
    for wrong in (lambda: builtin(1), lambda: abs(1, 2), lambda: Raises.__call__()):
        try:
            wrong()
        except TypeError:
            pass


def cannot_be_unpacked():
    number = 1
    for wrong in (lambda: abs(*number), lambda: dict(**number), lambda: builtin(*generate())):
        try:
            wrong()
        except (TypeError, ValueError):
            pass


def generate():
    yield 1
    int("x")


def passes_through():
    list(map(int, "1x"))


def caught_outside():
    try:
        passes_through()
    except ValueError:
        return len("ab")


def finally_calls():
    try:
        try:
            int("x")
        finally:
            abs(-1)
    except ValueError as error:
        str(error)
    else:
        abs(-2)


def in_handlers():
    try:
        int("x")
    except ValueError:
        try:
            int("y")
        except ValueError:
            abs(-3)


def groups():
    try:
        int("x")
    except* ValueError as group:
        len(group.exceptions)


# fmt: off
def one_line():
    try: int("x")
    except ValueError: abs(-4)
# fmt: on


def recursive(n):
    if n:
        max([n], key=lambda _: recursive(n - 1))
    else:
        int("x")


builtin()
function()
classes()
not_callable()
wrong_arguments()
cannot_be_unpacked()
caught_outside()
finally_calls()
in_handlers()
groups()
one_line()
try:
    recursive(2)
except ValueError:
    pass
