# starts with no events
"""Each event set globally, by itself, over the same functions."""

import sys

import harness

monitoring = sys.monitoring
events = harness.events


def generate(n):
    try:
        for i in range(n):
            yield abs(i)
    except KeyError:
        return "thrown"
    return n


def delegate(n):
    result = yield from generate(n)
    return result


def fails():
    try:
        int("x")
    finally:
        done = True
    return done


def run():
    total = 0
    for i in delegate(2):
        total = i or total
    generator = generate(1)
    next(generator)
    try:
        generator.throw(KeyError)
    except StopIteration:
        pass
    try:
        fails()
    except ValueError:
        pass


harness.record(harness.RECORDER)
for family in harness.FAMILIES.values():
    for name in family:
        if name in ("C_RETURN", "C_RAISE"):
            continue
        harness.note(name)
        monitoring.set_events(harness.RECORDER, getattr(events, name))
        run()
        monitoring.set_events(harness.RECORDER, 0)
harness.note("none")
run()
