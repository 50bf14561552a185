# records stops, exceptions, returns
"""StopIteration: made for a generator that returns, raised by iterators, seen by the program or not."""


class Counter:
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return self

    def __next__(self):
        if not self.n:
            raise StopIteration
        self.n -= 1
        return self.n


class OldStyle:
    def __getitem__(self, i):
        if i == 2:
            raise IndexError
        return i


def generate(n):
    for i in range(n):
        yield i
    return n


def plain(n):
    yield n


def delegate(n):
    return (yield from generate(n))


def loop(items):
    for _ in items:
        pass


def over_generator(n):
    for _ in generate(n):
        pass
    for _ in plain(n):
        pass


def caught(iterator):
    try:
        while True:
            next(iterator)
    except StopIteration as stop:
        return stop.value


loop(generate(1))
loop(Counter(1))
loop(OldStyle())
loop(iter(Counter(1).__next__, 0))
over_generator(1)
over_generator(0)
list(delegate(1))
caught(generate(1))
caught(Counter(1))
caught(iter([1]))
list(Counter(2)), list(zip(Counter(1), plain(1)))
next(Counter(0), None)
first, second = Counter(2)
