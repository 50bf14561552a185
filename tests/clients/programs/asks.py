"""Asks for the debugger itself, with frames and generators of all kinds under way."""


def numbers(limit):
    for number in range(limit):
        if number == 1:
            breakpoint()
        yield number
    return "end"


def outer(limit):
    started = numbers(4)
    first = next(started)
    result = yield from numbers(limit)
    for number in started:
        first += number
    yield first
    return result


def deep(depth):
    if depth == 0:
        breakpoint()
        return 0
    try:
        below = deep(depth - 1)
    finally:
        depth += 1
    return below + depth


class Closing:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        breakpoint()
        self.closed = True
        return True


def raising():
    with Closing() as closing:
        raise ValueError
    return closing.closed


def main():
    found = []
    for number in outer(2):
        found.append(number)
    found.append(deep(2))
    found.append(raising())
    return found


main()
