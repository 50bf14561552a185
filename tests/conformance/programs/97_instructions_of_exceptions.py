# records instructions, exceptions
"""INSTRUCTION beside the events of exceptions: in handlers, finally and with, line by line."""


class Manager:
    def __enter__(self):
        return self

    def __exit__(self, *raised):
        return True


def handles():
    try:
        int("x")
    except ValueError:
        value = 1
    return value


def cleans():
    try:
        int("x")
    finally:
        value = 1
    return value


def managed():
    with Manager():
        int("x")
    return 1


handles()
try:
    cleans()
except ValueError:
    pass
managed()
