"""Loops over floats: bodies on circles around a centre, by leaps of half a step."""

import math

WARM, SIZE, COUNTED = 4, 40_000, 500
FAMILIES = ("calls", "branches", "jumps")
RADII = [1.0, 1.3, 1.7, 2.2, 2.9]
STEP = 0.01


def run(size: int) -> float:
    bodies = [[radius, 0.0, 0.0, radius**-0.5] for radius in RADII]
    for _ in range(size):
        for body in bodies:
            x, y, u, v = body
            x += u * STEP / 2
            y += v * STEP / 2
            square = x * x + y * y
            pull = STEP / (square * math.sqrt(square))
            u -= x * pull
            v -= y * pull
            body[0] = x + u * STEP / 2
            body[1] = y + v * STEP / 2
            body[2] = u
            body[3] = v
    energy = 0.0
    for x, y, u, v in bodies:
        energy += (u * u + v * v) / 2 - 1 / math.sqrt(x * x + y * y)
    return energy


def is_right(_size: int, answer: float) -> bool:
    # Energy is conserved, and on a circle it depends on the radius alone.
    return math.isclose(answer, sum(-1 / (2 * radius) for radius in RADII), rel_tol=1e-4)
