# records calls, starts, returns, exceptions
"""Methods that operators, attributes, iteration and formatting call: no CALL, but their own events."""


class Number:
    def __init__(self, value):
        self.value = value

    def __add__(self, other):
        return NotImplemented if isinstance(other, str) else self.value + 1

    def __radd__(self, other):
        return 2

    def __eq__(self, other):
        return True

    def __bool__(self):
        return False

    def __len__(self):
        return 3

    def __getitem__(self, key):
        raise KeyError(key)

    def __contains__(self, item):
        return True

    def __format__(self, specification):
        return "formatted"

    def __getattr__(self, name):
        raise AttributeError(name)

    def __iter__(self):
        yield self.value

    def __index__(self):
        return 0


def attempt(operation, number):
    try:
        return operation(number)
    except (KeyError, AttributeError, TypeError) as error:
        return type(error)


number = Number(1)
for operation in (
    lambda n: n + n,
    lambda n: 1 + n,
    lambda n: n + "a",
    lambda n: n == 1,
    lambda n: not n,
    lambda n: n[1],
    lambda n: 1 in n,
    lambda n: f"{n:x}",
    lambda n: n.missing,
    lambda n: [*n],
    lambda n: [5][n],
    lambda n: 1 if n else 2,
    lambda n: n < n,
):
    attempt(operation, number)
