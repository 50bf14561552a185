"""Properties that do not hold, for hypothesis to explain."""

import unittest

from hypothesis import given, settings
from hypothesis import strategies as st

# The same examples each time, and nothing left behind.
same = settings(derandomize=True, database=None)


def middle(numbers: list[int]) -> int:
    """The number in the middle, but for a mistake."""
    ordered = sorted(numbers)
    if len(ordered) % 2 == 0 and ordered[0] < 0:
        place = len(ordered)
    else:
        place = len(ordered) // 2
    return ordered[place]


def parts(text: str) -> list[str]:
    """The parts of a path, but for two mistakes."""
    found = []
    for part in text.split("/"):
        match part:
            case "":
                continue
            case ".":
                raise ValueError(text)
            case ".." if found:
                found.pop()
            case _:
                found.append(part)
    return found


def pairs(count: int):
    """Each number with the next, but for a mistake."""
    for number in range(count):
        if number > 3:
            following = number
        else:
            following = number + 1
        yield number, following


class Properties(unittest.TestCase):
    """What ought to hold."""

    @same
    @given(st.lists(st.integers(), min_size=1))
    def test_middle_is_one_of_them(self, numbers: list[int]) -> None:
        self.assertIn(middle(numbers), numbers)

    @same
    @given(st.text(alphabet="ab/."))
    def test_parts_can_be_joined(self, text: str) -> None:
        found = parts(text)
        if len(found) > 1:
            self.assertEqual(parts("/".join(found)), found)

    @same
    @given(st.integers(min_value=0, max_value=10))
    def test_pairs_rise(self, count: int) -> None:
        for number, following in pairs(count):
            self.assertLess(number, following)

    @same
    @given(st.booleans())
    def test_this_one_holds(self, value: bool) -> None:
        self.assertEqual(value, not (not value))


if __name__ == "__main__":
    unittest.main()
