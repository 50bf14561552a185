# records exceptions, starts, returns
"""Finalizers, weak references' callbacks and hooks: code that the interpreter calls by itself."""

import sys
import weakref


class Finalized:
    def __del__(self):
        dropped.append("finalized")


class FailsInFinalizer:
    def __del__(self):
        raise ValueError


def on_drop(reference):
    dropped.append("dropped")


def hook(unraisable):
    dropped.append(unraisable.exc_type)


def local():
    value = Finalized()
    return len(dropped), value is None


def overwritten():
    value = Finalized()
    value = None
    return value


dropped = []
sys.unraisablehook = hook
local()
overwritten()
FailsInFinalizer()
watched = Finalized()
reference = weakref.ref(watched, on_drop)
del watched
sys.unraisablehook = sys.__unraisablehook__
