# records exceptions
"""except*: groups that are split, handled in part, raised again, and raised from handlers."""


def raise_group(*kinds):
    raise ExceptionGroup("group", [kind() for kind in kinds])


def one(*kinds):
    try:
        raise_group(*kinds)
    except* ValueError:
        return_value = "value"
    return return_value


def two(*kinds):
    handled = []
    try:
        raise_group(*kinds)
    except* ValueError as group:
        handled.append(len(group.exceptions))
    except* (KeyError, OSError) as group:
        handled.append(len(group.exceptions))
    else:
        handled.append("none")
    finally:
        handled.append("end")
    return handled


def naked():
    try:
        raise ValueError
    except* ValueError as group:
        return_value = type(group)
    return return_value


def raises_in_handler():
    try:
        raise_group(ValueError, KeyError)
    except* ValueError:
        raise OSError
    except* KeyError:
        pass


def raises_again():
    try:
        raise_group(ValueError, KeyError)
    except* ValueError:
        raise


def attempt(function, *arguments):
    try:
        return function(*arguments)
    except* Exception:
        pass


attempt(one, ValueError)
attempt(one, ValueError, KeyError)
attempt(two, ValueError)
attempt(two, ValueError, KeyError, OSError)
attempt(two, TypeError, ValueError)
attempt(naked)
attempt(raises_in_handler)
attempt(raises_again)
