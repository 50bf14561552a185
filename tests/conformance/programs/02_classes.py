"""Classes: bodies, methods, properties, descriptors, inheritance, metaclasses."""


class Empty:
    pass


class Point:
    """A class with a docstring, an attribute and methods."""

    dimensions: int = 2
    label: str

    def __init__(self, x, y=0):
        self.x = x
        self.y = y

    def __add__(self, other):
        return Point(self.x + other.x, self.y + other.y)

    def __eq__(self, other):
        return self.x == other.x and self.y == other.y

    def __repr__(self):
        return f"Point({self.x}, {self.y})"

    @property
    def length(self):
        return abs(self.x) + abs(self.y)

    @length.setter
    def length(self, value):
        self.x = value
        self.y = 0

    @classmethod
    def origin(cls):
        return cls(0)

    @staticmethod
    def count():
        return 2


class Point3(Point):
    dimensions = Point.dimensions + 1

    def __init__(self, x, y, z):
        super().__init__(x, y)
        self.z = z

    class Inner:
        def method(self):
            return __class__.__qualname__


class Registry(type):
    known = []

    @classmethod
    def __prepare__(meta, name, bases):
        return {"prepared": True}

    def __new__(meta, name, bases, namespace):
        cls = super().__new__(meta, name, bases, namespace)
        meta.known.append(name)
        return cls

    def __call__(cls, *args):
        return super().__call__(*args)


class Registered(metaclass=Registry):
    def __init_subclass__(cls, **named):
        super().__init_subclass__(**named)
        cls.made = True


class Derived(Registered):
    size = sum(
        [
            1,
            2,
        ]
    )


class Named:
    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner=None):
        return self.name


class Owner:
    field = Named()
    if field:
        other = Named()


def mark(cls):
    cls.marked = True
    return cls


@mark
class Marked:
    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return len(name)


a = Point(1)
b = a + Point.origin()
a == b
repr(b)
b.length = a.length + Point.count()
Point3(1, 2, 3).length
Point3.Inner().method()
Derived()
Owner().field
Marked().attribute
hasattr(Marked(), "_private")
local = type("Local", (Point,), {"double": lambda self: self.x * 2})
local(4).double()
