# records exceptions, jumps, lines
"""finally: left by return, break and continue, entered by every way out."""

Problem = LookupError


def plain(raises):
    try:
        if raises:
            raise Problem
    finally:
        done = True
    return done


def returns(raises):
    try:
        if raises:
            raise Problem
        return "body"
    finally:
        done = True
        assert done


def nested():
    try:
        try:
            raise Problem
        finally:
            first = 1
    finally:
        second = first + 1
        assert second


def loops():
    for i in range(3):
        try:
            if i == 0:
                continue
            if i == 1:
                break
        finally:
            i += 1
    return i


def replaced():
    try:
        raise Problem
    finally:
        raise OSError


def within_handler():
    try:
        raise Problem
    except Problem:
        try:
            raise OSError
        finally:
            done = True
    return done


def attempt(function, *arguments):
    try:
        return function(*arguments)
    except (Problem, OSError):
        return None


for raises in (False, True):
    attempt(plain, raises)
    attempt(returns, raises)
attempt(nested)
loops()
attempt(replaced)
attempt(within_handler)
