"""Scanning text: the numbers, words and marks of a long line, one character after the other."""

WARM, SIZE, COUNTED = 4, 20_000, 200
FAMILIES = ("calls", "branches", "jumps")


def scan(text: str) -> tuple[int, int, int]:
    total = words = marks = 0
    position = 0
    end = len(text)
    while position < end:
        character = text[position]
        if character.isdigit():
            number = 0
            while position < end and text[position].isdigit():
                number = number * 10 + ord(text[position]) - ord("0")
                position += 1
            total += number
        elif character.isalpha():
            words += 1
            while position < end and text[position].isalpha():
                position += 1
        elif character == " ":
            position += 1
        else:
            marks += 1
            position += 1
    return total, words, marks


def run(size: int) -> int:
    text = " ".join(f"item {number}, count: {number + 1};" for number in range(size))
    total, words, marks = scan(text)
    return total if words == 2 * size and marks == 3 * size else -1


def is_right(size: int, answer: float) -> bool:
    return answer == size * size
