"""What a debugger steps through: everything that changes the way, and nothing that versions compile into other frames."""

import asyncio
import contextlib
import threading


def count(limit):
    number = 0
    while number < limit:  # break temporary=True
        number += 1
        if number == 2:
            continue
        yield number
    return "done"


def delegate(limit):
    result = yield from count(limit)
    yield result


def total(numbers):
    result = 0
    for number in numbers:
        result += number  # break cond="number == 3"
    else:
        result *= 2
    return result


def one_line(): return sum(number for number in (1, 2))  # fmt: skip


def guarded(value):
    try:
        return 10 // value
    except ZeroDivisionError as error:
        raised = error  # break
    else:
        raised = None
    finally:
        value = None
    return type(raised).__name__


@contextlib.contextmanager
def opened(name):
    opening = name
    try:
        yield opening
    finally:
        opening = None


def managed():
    with opened("book") as name:
        if name:
            raise KeyError(name)


def kind(value):
    match value:
        case [first, *_]:
            return first
        case {"name": name}:
            return name
        case int() if value > 3:
            return "large"
        case _:
            return None


class Account:
    limit = 3

    def __init__(self, balance):
        self.balance = balance

    @property
    def rich(self):
        return self.balance > self.limit

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return error[0] is not None


def spend(account):
    with account as same:
        same.balance -= 1
        assert same.rich, "poor"
    return same.balance


def closed():
    numbers = count(9)
    for number in numbers:
        if number > 2:
            break
    numbers.close()
    numbers = count(3)
    next(numbers)
    try:
        numbers.throw(LookupError("thrown"))
    except LookupError as error:
        return type(error).__name__


def recursive(depth):
    if depth:
        return recursive(depth - 1) + 1  # break cond="depth == 1"
    return 0


async def ticks(limit):
    for number in range(limit):
        await asyncio.sleep(0)
        yield number


async def collect():
    found = 0
    async for number in ticks(2):
        found += number  # break
    return found


def in_a_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(recursive(2)))
    thread.start()
    thread.join()
    return found


def tight():
    for _ in range(3): pass  # fmt: skip
    number = 3
    while number: number -= 1  # fmt: skip


def main():
    found = [
        total(delegate(0) if False else count(4)),
        one_line(),
        guarded(5),
        guarded(0),
    ]
    found.extend(delegate(1))
    with contextlib.suppress(KeyError):
        managed()
    found.append(kind([1, 2]))
    found.append(kind({"name": "x"}))
    found.append(kind(9))
    found.append(kind(1))
    found.append(spend(Account(5)))
    found.append(spend(Account(2)))
    found.append(closed())
    found.append(recursive(3))
    found.append(asyncio.run(collect()))
    found.append(in_a_thread())
    tight()
    return found


if __name__ == "__main__":
    main()
