"""A loop of the module itself, whose frame is running already when the events are set."""

from measure import answers, stretches

WARM, SIZE, COUNTED = 8, 300_000, 6_000
FAMILIES = ("branches", "jumps")


def is_right(size: int, answer: float) -> bool:
    # The odd numbers add up to a square; for each even one, 1 was taken away.
    return answer == ((size + 1) // 2) ** 2 - size // 2


for size in stretches():
    value = 0
    count = 0
    while count < size:
        count += 1
        if count % 2:
            value += count
        else:
            value -= 1
    answers[size] = value
