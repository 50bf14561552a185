# records exceptions, lines
"""Exceptions that are raised again: a bare raise, finally, a handler that does not fit, with."""


def bare():
    try:
        int("x")
    except ValueError:
        raise


def in_finally():
    try:
        int("x")
    finally:
        done = 1
    return done


def does_not_fit():
    try:
        int("x")
    except KeyError:
        pass


def named():
    try:
        int("x")
    except ValueError as error:
        raise error


def nested():
    try:
        try:
            int("x")
        finally:
            done = 1
    except ValueError:
        done = 2
    return done


def bare_from_function():
    def again():
        raise

    try:
        int("x")
    except ValueError:
        again()


def bare_without_one():
    raise


def in_else():
    try:
        pass
    except ValueError:
        pass
    else:
        int("x")
    finally:
        pass


for function in (
    bare,
    in_finally,
    does_not_fit,
    named,
    nested,
    bare_from_function,
    bare_without_one,
    in_else,
):
    try:
        function()
    except (ValueError, RuntimeError):
        pass
