# starts with no events
"""At one place: LINE before INSTRUCTION, both before the rest; of each, the highest tool first."""

import harness

# 3.14 loses the place of a branch where INSTRUCTION is told of it too.
SETS = [
    harness.set_of(*(each for each in harness.FAMILIES if each != left))
    for left in ("branches", "instructions")
]


def call_first(a):
    return abs(a)


def branch_first(a):
    while a:
        break
    return a


def jump_first(n):
    for _ in range(n):
        continue
    return n


def yield_first(a):
    yield a
    return a


def return_alone(): return  # fmt: skip


def raise_first(): raise ValueError  # fmt: skip


def run():
    call_first(1)
    branch_first(1)
    jump_first(1)
    list(yield_first(1))
    return_alone()
    try:
        raise_first()
    except ValueError:
        pass


harness.record(0)
harness.record(3)
for chosen in SETS:
    for tools in ((0,), (0, 3)):
        harness.note(f"tools {tools}")
        harness.set_events(chosen, *tools)
        run()
        harness.set_events(0, *tools)
