# records calls, starts, exceptions
"""Calls with stars: of functions, methods, classes and builtins, and those that fail."""


def function(*args, **kwargs):
    return args, kwargs


def strict(a, *, b):
    return a, b


class Made:
    def __init__(self, *args, **kwargs):
        self.args = args

    def method(self, *args, **kwargs):
        return args


class Mapping:
    def keys(self):
        return ["b"]

    def __getitem__(self, key):
        return key


def fails_while_iterated():
    yield 1
    raise ValueError


def forms():
    items, names = (1, 2), {"b": 3}
    function(*items)
    function(*items, *items)
    function(0, *items, 4, **names, c=5)
    function(**names, **{"c": 4})
    strict(*items[:1], **names)
    strict(1, **Mapping())
    Made(*items).method(*items, **names)
    print(*(), end="", **{})
    max(*items)
    "{}{}".format(*items)
    (lambda *rest: rest)(*items)


def attempt(call):
    try:
        return call()
    except (TypeError, ValueError) as error:
        return error


forms()
attempt(lambda: strict(*[1, 2], b=3))
attempt(lambda: function(**{"a": 1}, **{"a": 2}))
attempt(lambda: function(*fails_while_iterated()))
attempt(lambda: function(*1))
attempt(lambda: max(*[]))
attempt(lambda: int(*"x"))
