# records exceptions
"""Exceptions within the handling of others: contexts, causes, nested handlers, loops of retries."""


def first():
    raise KeyError("first")


def second():
    try:
        first()
    except KeyError as error:
        raise OSError("second") from error


def third():
    try:
        second()
    except OSError:
        try:
            first()
        except KeyError:
            pass
        raise


def retries():
    for attempt in range(3):
        try:
            if attempt < 2:
                first()
            return attempt
        except KeyError:
            continue


def deletes_name():
    try:
        first()
    except KeyError as error:
        del error
    try:
        return error  # noqa: F821
    except NameError:
        return None


def in_generator():
    try:
        first()
    except KeyError:
        yield 1
        yield 2


def nested():
    try:
        try:
            try:
                first()
            except OSError:
                pass
        except ValueError:
            pass
    except KeyError:
        return 1


try:
    third()
except OSError:
    pass
retries()
deletes_name()
for _ in in_generator():
    try:
        first()
    except KeyError:
        pass
nested()
