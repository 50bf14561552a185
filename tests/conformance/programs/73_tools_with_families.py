# starts with no events
"""Several tools, each with a family of its own, over the same code."""

import sys

import harness

monitoring = sys.monitoring
TOOLS = {
    0: ("lines",),
    1: ("starts", "returns"),
    2: ("generators",),
    3: ("exceptions",),
    4: ("branches", "jumps"),
    5: ("calls",),
}


def generate(n):
    for i in range(n):
        if i:
            yield abs(i)
    return n


def work(n):
    total = 0
    for i in generate(n):
        total += i
    try:
        int("x")
    except ValueError:
        total += 1
    return total


def both_on(tools):
    for tool in tools:
        monitoring.set_events(tool, harness.set_of(*TOOLS[tool]))
    work(2)
    for tool in tools:
        monitoring.set_events(tool, 0)


for tool in TOOLS:
    harness.record(tool)
for tools in ((0, 4), (1, 2, 5), (3, 5), tuple(TOOLS)):
    harness.note(f"tools {tools}")
    both_on(tools)
harness.note("none")
work(2)
