"""Functions: defaults, decorators, lambdas, closures, recursion."""


def plain(a, b=2, *rest, c=3, **named):
    total = a + b + c
    for value in rest:
        total += value
    return total + sum(named.values())


def no_return():
    pass


def only_a_docstring():
    """Returns None from its own first line."""


def doubled(function):
    def wrapper(*args):
        return 2 * function(*args)

    return wrapper


def times(factor):
    def decorate(function):
        return lambda *args: factor * function(*args)

    return decorate


@doubled
@times(
    5,
)
def decorated(value):
    return value + 1


def default():
    return 40


def with_defaults(a=default(), *, b=default() + 1):
    return a, b


def counter():
    count = 0

    def step(by=1):
        nonlocal count
        count += by
        return count

    return step


def factorial(n):
    if n <= 1:
        return 1
    return n * factorial(n - 1)


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


total = 0


def add_to_total(value):
    global total
    total += value


plain(1)
plain(1, 2, 3, 4, c=5, d=6)
no_return()
only_a_docstring()
decorated(3)
with_defaults()
with_defaults(1, b=2)
step = counter()
step()
step(by=10)
factorial(4)
even(3)
add_to_total(7)
square = lambda x: x * x
square(9)
sorted([3, 1, 2], key=lambda x: -x)
list(map(lambda x, y=1: x + y, [1, 2]))
(lambda: None)()
