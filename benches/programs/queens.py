"""Backtracking: in how many ways queens stand on a board, with sets, comprehensions and calls of builtins."""

WARM, SIZE, COUNTED = 5, 10, 8
FAMILIES = ("calls", "branches", "jumps")
WAYS = {4: 2, 5: 10, 8: 92, 10: 724}
"""As is known."""


class Board:
    def __init__(self, size: int) -> None:
        self.size = size
        self.columns: set[int] = set()
        self.rising: set[int] = set()
        self.falling: set[int] = set()
        self.placed: list[int] = []
        self.found: list[tuple[int, ...]] = []

    def free(self, row: int) -> list[int]:
        columns, rising, falling = self.columns, self.rising, self.falling
        return [
            column
            for column in range(self.size)
            if column not in columns and row + column not in rising and row - column not in falling
        ]

    def place(self, row: int) -> None:
        if row == self.size:
            self.found.append(tuple(self.placed))
            return
        for column in self.free(row):
            self.columns.add(column)
            self.rising.add(row + column)
            self.falling.add(row - column)
            self.placed.append(column)
            self.place(row + 1)
            self.placed.pop()
            self.falling.remove(row - column)
            self.rising.remove(row + column)
            self.columns.remove(column)


def run(size: int) -> int:
    board = Board(size)
    board.place(0)
    return len(set(board.found))


def is_right(size: int, answer: float) -> bool:
    return answer == WAYS[size]
