# records starts, returns, generators, exceptions
"""Threads that take turns at generators, and exceptions that stay in theirs."""

import threading


def shared():
    try:
        while True:
            yield threading.current_thread().name
    except KeyError:
        yield "thrown"


def take():
    taken.append(next(generator))


def throw():
    taken.append(generator.throw(KeyError))


def finish():
    try:
        next(generator)
    except StopIteration:
        taken.append("finished")


def fails():
    try:
        raise ValueError
    except ValueError:
        taken.append("handled")


def in_thread(function):
    thread = threading.Thread(target=function, name="other")
    thread.start(), thread.join()


taken = []
generator = shared()
take()
in_thread(take)
in_thread(fails)
take()
in_thread(throw)
in_thread(finish)
assert taken == ["MainThread", "other", "handled", "MainThread", "thrown", "finished"]
