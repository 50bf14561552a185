# records exceptions, returns
"""Exceptions that pass through C code: key functions, map, sort, operators, imports, exec."""

import importlib
import operator


def fails(*arguments):
    raise ValueError(arguments)


def attempt(call, *arguments):
    try:
        return call(*arguments)
    except (ValueError, ImportError, SyntaxError, StopIteration) as error:
        return type(error)


class Fails:
    def __lt__(self, other):
        raise ValueError

    def __hash__(self):
        raise ValueError

    def __next__(self):
        raise ValueError

    def __iter__(self):
        return self


attempt(lambda: max([1, 2], key=fails))
attempt(lambda: list(map(fails, [1])))
attempt(lambda: sorted([Fails(), Fails()]))
attempt(lambda: {Fails(): 1})
attempt(lambda: [each for each in Fails()])
attempt(lambda: operator.call(fails))
attempt(lambda: exec("raise ValueError"))
attempt(lambda: eval("fails(1)"))
attempt(lambda: compile("1 +", "<string>", "exec"))
attempt(importlib.import_module, "no_such_module_anywhere")
attempt(next, iter(()))
