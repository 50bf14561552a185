"""Loops and conditions."""


def for_loop(n):
    total = 0
    for i in range(n):
        total += i
    return total


def for_else(n, stop):
    for i in range(n):
        if i == stop:
            break
    else:
        i = -1
    return i


def while_loop(n):
    while n:
        n -= 1
    return n


def while_else(n):
    while n > 0:
        n -= 2
        if n == 1:
            break
    else:
        n = 100
    return n


def forever(n):
    while True:
        n -= 1
        if not n:
            break
    while 1:
        if n > 2:
            return n
        n += 1


def continues(n):
    kept = 0
    for i in range(n):
        if i % 2:
            continue
        kept += i
    return kept


def nested(n):
    found = None
    for i in range(n):
        for j in range(i):
            if i * j == 2:
                found = i, j
                break
        else:
            continue
        break
    return found


def ends_with_if(n):
    for i in range(n):
        if i:
            pass


def conditions(a, b):
    if a and b:
        return "both"
    elif a or b:
        return "one"
    if not a:
        result = "none"
    else:
        result = "never"
    return result


def compound(a, b, c):
    if (
        a
        and b
        or c
    ):  # fmt: skip
        return 1
    while (
        a
        and not b
    ):  # fmt: skip
        a -= 1
    return 0


def constant_conditions():
    if 0:
        return "never"
    if True:
        value = 1
    while False:
        value = 2
    return value


def over_lines():
    total = 0
    for i in (
        1,
        total,
    ):  # fmt: skip
        total += (
            i
        )  # fmt: skip
    return total


def unpacks(pairs):
    for a, (b, c) in pairs:
        last = a + b + c
    return last


for_loop(2)
for_loop(0)
for_else(3, 1)
for_else(2, 5)
while_loop(2)
while_loop(0)
while_else(3)
while_else(2)
forever(2)
continues(3)
nested(4)
ends_with_if(2)
for a in (0, 1):
    for b in (0, 1):
        conditions(a, b)
compound(1, 1, 0)
compound(2, 0, 0)
compound(0, 0, 1)
constant_conditions()
over_lines()
unpacks([(1, (2, 3)), (4, (5, 6))])
i = 0
while i < 2:
    i += 1
