# records exceptions
"""with: exceptions that its managers pass on, suppress, replace, or raise themselves."""


class Problem(Exception):
    pass


class Manager:
    def __init__(self, suppresses=False, at_enter=None, at_exit=None):
        self.suppresses, self.at_enter, self.at_exit = suppresses, at_enter, at_exit

    def __enter__(self):
        if self.at_enter:
            raise self.at_enter
        return self

    def __exit__(self, kind, error, trace):
        if self.at_exit:
            raise self.at_exit
        return self.suppresses


def body(*arguments, **names):
    with Manager(*arguments, **names):
        raise Problem
    return "suppressed"


def quiet(*arguments, **names):
    with Manager(*arguments, **names) as manager:
        pass
    return manager


def nested():
    with Manager(True):
        with Manager():
            raise Problem
    return "suppressed"


def two():
    with Manager(True) as first, Manager(at_exit=KeyError):
        return first


def in_loop():
    for i in range(2):
        with Manager(True):
            if i:
                break
            raise Problem


def attempt(function, *arguments, **names):
    try:
        return function(*arguments, **names)
    except (Problem, KeyError) as error:
        return type(error)


attempt(body)
attempt(body, True)
attempt(body, at_enter=KeyError)
attempt(body, at_exit=KeyError)
attempt(quiet)
attempt(quiet, at_exit=KeyError)
attempt(nested)
attempt(two)
attempt(in_loop)
