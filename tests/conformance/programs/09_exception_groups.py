"""except* and exception groups."""


def group(*errors):
    raise ExceptionGroup("group", errors)


def one(*errors):
    try:
        group(*errors)
    except* ValueError as found:
        return_value = len(found.exceptions)
    else:
        return_value = 0
    finally:
        done = True
        assert done
    return return_value


def several(*errors):
    seen = 0
    try:
        group(*errors)
    except* ValueError:
        seen += 1
    except* (KeyError, TypeError) as found:
        seen += 10 * len(found.exceptions)
    return seen


def plain_exception():
    try:
        raise ValueError
    except* ValueError as found:
        kind = type(found).__name__
    return kind


def nothing_raised():
    try:
        value = 1
    except* ValueError:
        value = 2
    else:
        value = 3
    return value


def raises_inside():
    try:
        group(ValueError())
    except* ValueError:
        raise KeyError
    return None


one(ValueError(), ValueError())
several(ValueError(), KeyError(), TypeError())
plain_exception()
nothing_raised()
try:
    several(OSError())
except ExceptionGroup as rest:
    len(rest.exceptions)
try:
    raises_inside()
except KeyError:
    pass
