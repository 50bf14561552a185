# records calls, starts
"""Everything that can be called, with and without arguments."""

from types import MethodType


def function(*args, **kwargs):
    return len(args)


class Plain:
    pass


class Base:
    def __init__(self, *args):
        self.args = args

    def method(self, *args, **kwargs):
        return args

    @classmethod
    def of_class(cls, *args):
        return cls

    @staticmethod
    def static(*args):
        return args

    def __call__(self, *args):
        return args


class Derived(Base):
    def __init__(self, *args):
        super().__init__(*args)
        super(Derived, self).method(1)

    @property
    def size(self):
        return len(self.args)


class OfBuiltin(list):
    def append(self, value):
        super().append(value)
        super().append(*[value])


class Meta(type):
    def __call__(cls, *args):
        return type.__call__(cls, *args)


class Made(metaclass=Meta):
    value = len("ab")


def functions():
    function()
    function(1)
    function(1, 2)
    function(name=3)
    function(4, name=5)
    (lambda: None)()
    (lambda *args: None)(6)


def methods():
    base = Base()
    base.method()
    base.method(1)
    base.method(name=2)
    bound = base.method
    bound()
    bound(3)
    bound(name=4)
    Base.method(base)
    Base.method(base, 5)
    Base.of_class()
    base.of_class(6)
    Base.static()
    base.static(7)
    MethodType(len, "ab")()


def classes():
    Plain()
    Base()
    Base(1)
    Derived()
    Derived(2).size
    Made()
    OfBuiltin().append(3)
    type("Dynamic", (), {})
    object()


def callables():
    base = Base()
    base()
    base(1)
    base.__call__(2)


def builtins():
    items = []
    items.append(1)
    append = items.append
    append(2)
    list.append(items, 3)
    len(items)
    max(items, key=None)
    int("4")
    str()
    dict(name=5)
    items.__len__()
    dict.fromkeys("a")
    "".join(items[:0])
    isinstance(items, list)


def stars():
    items, none, names = [1, 2], (), {"name": 3}
    base = Base()
    function(*items)
    function(*none)
    function(*items, 4)
    function(0, *items)
    function(**names)
    function(**{})
    function(5, **names)
    function(*iter(items), **names)
    len(*(items,))
    base.method(*items)
    base.method(*none)
    Base(*items)
    items.append(*items[:1])
    str(*none)
    dict(**names)


def nested():
    function(function(1), function(len("ab"), function()))
    sum(map(function, [1]), len("abc"))
    f"{len('abcd'):{len('ab')}}"


def decorated():
    base = Base()

    @function
    def first():
        pass

    @Base.static
    @base.method
    class Second:
        pass

    @base
    def third():
        pass


def statements():
    for _ in range(len("ab")):
        pass
    while not len("a"):
        pass
    assert len("a"), function()
    if len("a") and len("ab"):
        return function(1)


def many_lines():
    function(
        1,
        len(
            "ab",
        ),
    ).__add__(
        2,
    )


functions()
methods()
classes()
callables()
builtins()
stars()
nested()
decorated()
statements()
many_lines()
