# fmt: off
"""Statements over several lines, and several statements on one."""


def call(*args, **named):
    return len(args) + len(named)


def calls():
    first = call(
        1,
        2,
    )
    second = call(
        call(
            first),
        call(),
        key=call(
            2,
        ),
    )
    return (
        first
        +
        second
    )


def chain(a, b, c):
    one_line = a < b < c
    return (
        a
        < b
        < c
        or one_line
    )


def methods(text):
    return (
        text
        .strip()
        .upper()
        .replace(
            "A",
            "B",
        )
    )


def ternary(a):
    b = 1 if a else 2
    return (
        b
        if a
        else call(
            a
        )
    )


def literals(a):
    table = {
        "one": 1,
        "two": a,
        "three": call(a),
    }
    items = [
        1,
        2,
        3,
    ]
    numbers = (
        a,
        items[
            0
        ],
    )
    return len(table) + len(numbers)


def strings(a):
    text = """first
    second"""
    joined = (
        "one"
        "two"
    )
    formatted = f"{a}" f"""
    {call(
        a)}
    """
    return len(text + joined + formatted)


def continued(a):
    b = a + \
        1 + \
        call()
    assert b, \
        "message"
    return b


def one_line_bodies(n):
    for i in range(n): pass
    for i in range(n): n += i
    while n > 2: n -= 1
    if n: n += 1
    if not n: n = 0
    else: n += 2
    a = 1; b = 2; c = call(a); return n + a + b + c


def one_line_loop_with_if(n):
    for i in range(n): i = 1 if i else 2
    for i in list(range(n)): call(i)
    return i


def one_line(a): return a + 1


def one_line_generator(n): yield from range(n)


class OneLine: attribute = 1; other = 2


def targets(a):
    a.x, \
        a.y = (
            1,
            2,
        )
    a.list = [0, 0]
    a.list[
        0
    ] += (
        call()
    )
    del (
        a.x,
        a.y,
    )
    b = c = \
        a.list
    return b is c


def walrus(a):
    if (b := call(a)) and \
            (c := b + 1):
        return c


def defaults(
    a=call(),
    b=call(
        1,
    ),
):
    return a + b


def lambdas():
    function = lambda a: (
        a
        + 1
    )
    return function(
        1
    )


def blank_lines():

    a = 1

    # a comment

    return (

        a

    )


def nothing_but_constants():
    1
    "text"
    None
    ...


calls()
chain(1, 2, 3); chain(3, 2, 1)
methods(" a ")
ternary(0); ternary(1)
literals(5)
strings(1)
continued(1)
one_line_bodies(2)
one_line_loop_with_if(2)
one_line(1)
list(one_line_generator(2))
targets(OneLine)
walrus(1)
defaults()
lambdas()
blank_lines()
nothing_but_constants()
for i in (1, 2): pass
for i in (1, 2): call(i)
while i: i -= 1
if i: call(0)
if not i: call(1)
call(
    one_line(
        1),
    one_line(2))
