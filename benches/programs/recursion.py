"""Recursive calls: how many moves the towers of Hanoi take, counted one by one."""

WARM, SIZE, COUNTED = 4, 19, 11
FAMILIES = ("calls", "branches")


def moves(discs: int, source: int, target: int, spare: int) -> int:
    if discs == 0:
        return 0
    before = moves(discs - 1, source, spare, target)
    after = moves(discs - 1, spare, target, source)
    return before + 1 + after


def run(size: int) -> int:
    return moves(size, 0, 1, 2)


def is_right(size: int, answer: float) -> bool:
    return answer == (1 << size) - 1
