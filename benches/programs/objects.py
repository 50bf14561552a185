"""Objects and methods: people in a ring, of whom every second leaves until one is left."""

WARM, SIZE, COUNTED = 8, 100_000, 1_500
FAMILIES = ("calls", "branches")


class Seat:
    def __init__(self, number: int) -> None:
        self.number = number
        self.next = self

    def follow(self, other: "Seat") -> None:
        other.next = self.next
        self.next = other

    def is_alone(self) -> bool:
        return self.next is self

    def drop_next(self) -> "Seat":
        dropped = self.next
        self.next = dropped.next
        return dropped


class Ring:
    def __init__(self, size: int) -> None:
        self.current = Seat(1)
        self.left: list[int] = []
        last = self.current
        for number in range(2, size + 1):
            seat = Seat(number)
            last.follow(seat)
            last = seat

    @property
    def survivor(self) -> int:
        return self.current.number

    def move(self) -> None:
        self.current = self.current.next

    def turn(self) -> None:
        self.left.append(self.current.drop_next().number)
        self.move()

    def play(self) -> int:
        while not self.current.is_alone():
            self.turn()
        return self.survivor


def run(size: int) -> int:
    return Ring(size).play()


def is_right(size: int, answer: float) -> bool:
    # Known for every size: twice what is left of it without its highest power of two, and one.
    return answer == 2 * (size - (1 << size.bit_length() - 1)) + 1
