"""Generators: primes through a chain of filters, one generator for each prime found."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

WARM, SIZE, COUNTED = 2, 500, 10
FAMILIES = ("calls", "branches", "yields", "jumps", "exceptions")

COUNT = 80


def natural(first: int) -> Iterator[int]:
    while True:
        yield first
        first += 1


def without_multiples(numbers: Iterator[int], of: int) -> Iterator[int]:
    for number in numbers:
        if number % of:
            yield number


def primes(count: int) -> Iterator[int]:
    numbers = natural(2)
    for _ in range(count):
        prime = next(numbers)
        yield prime
        numbers = without_multiples(numbers, prime)


def both(count: int) -> Iterator[int]:
    """The primes, and behind them as many numbers again."""
    yield from primes(count)
    yield from range(count)


def run(size: int) -> int:
    total = 0
    for _ in range(size):
        for number in both(COUNT):
            total += number
    return total


def is_right(size: int, answer: float) -> bool:
    found = [n for n in range(2, 10 * COUNT) if all(n % d for d in range(2, int(n**0.5) + 1))]
    return answer == size * (sum(found[:COUNT]) + COUNT * (COUNT - 1) // 2)
