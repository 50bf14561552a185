"""Exceptions: raised some calls further down, cleaned up after, caught by kind, and raised again."""

WARM, SIZE, COUNTED = 30, 60_000, 200
FAMILIES = ("calls", "branches", "jumps", "exceptions")


class OddError(Exception):
    """An odd number."""


class Counted:
    def __init__(self) -> None:
        self.entered = self.left = 0

    def __enter__(self) -> "Counted":
        self.entered += 1
        return self

    def __exit__(self, *error: object) -> None:
        self.left += 1


def down(depth: int, number: int) -> int:
    if depth:
        try:
            return down(depth - 1, number)
        finally:
            depth -= 1
    if number % 5 == 0:
        return int("five")
    if number % 2:
        raise OddError(number)
    return number


def checked(counted: Counted, number: int) -> int:
    try:
        with counted:
            return down(2, number)
    except OddError as error:
        if number % 3 == 0:
            raise LookupError(number) from error
        raise


def run(size: int) -> tuple[int, int, int, int, int]:
    counted = Counted()
    even = odd = third = fifth = 0
    for number in range(size):
        try:
            even += checked(counted, number) >= 0
        except ValueError:
            fifth += 1
        except LookupError:
            third += 1
        except OddError:
            odd += 1
    return even, odd, third, fifth, counted.left


def is_right(size: int, answer: tuple[int, int, int, int, int]) -> bool:
    numbers = range(size)
    fifth = len(numbers[::5])
    rest = [number for number in numbers if number % 5]
    even = sum(number % 2 == 0 for number in rest)
    third = sum(number % 2 == 1 and number % 3 == 0 for number in rest)
    return answer == (even, len(rest) - even - third, third, fifth, size)
