# records exceptions, starts, returns
"""Exceptions that are raised, pass through functions and are handled."""


def raises(n):
    if n:
        raises(n - 1)
    raise ValueError(n)


def builtin_raises():
    int("x")


def operation_raises(a):
    return 1 / a


def missing_name():
    return nowhere  # noqa: F821


def handled_inside():
    try:
        raises(0)
    except ValueError:
        return 1


def handled_by_second():
    try:
        operation_raises(0)
    except ValueError:
        return 1
    except (TypeError, ZeroDivisionError) as error:
        return str(error)


def not_handled():
    try:
        missing_name()
    except KeyError:
        return 1


def raises_in_handler():
    try:
        builtin_raises()
    except ValueError:
        raise KeyError("second") from None


def attempt(function, *arguments):
    try:
        return function(*arguments)
    except Exception as error:
        return type(error)


for function in handled_inside, handled_by_second, not_handled, raises_in_handler:
    attempt(function)
attempt(raises, 1)
attempt(raises, "no number")
attempt(lambda: [].pop())
attempt(lambda: {}["key"])
attempt(lambda: None.attribute)
