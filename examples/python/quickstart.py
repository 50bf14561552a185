"""A small program to look into: `monitrace trace examples/python/quickstart.py`."""


def shout(word):
    loud = word.upper()
    return loud + "!"


def greet(names):
    for name in names:
        if name:
            print("hello", shout(name))


greet(["ada", "", "guido"])
