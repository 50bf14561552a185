"""Control flow of every kind, to compare which events its instructions bring."""

import asyncio
import contextlib


class Manager:
    def __init__(self, swallow=False): self.swallow = swallow

    def __enter__(self): return self

    def __exit__(self, *exc):
        return self.swallow


def one_line(a, b=2): return a + b


def loops(n):
    total = 0
    for i in range(n):
        if i == 1:
            continue
        elif i == 3: break
        total += i
    else:
        total = -1
    while total > 0: total -= 1
    while True:
        total += 1
        if total > 2:
            break
    for i in range(3): total += i; total -= 1
    for i in (
        1,
        2,
    ):
        total += (
            i
            + 1
        )
    return total


def while_first():
    while True:
        try:
            return 1
        finally:
            pass


def branches(x):
    a = 1 if x else 2
    b = (1 if
         x else
         2)
    c = x and a or \
        b
    d = 0 < a < 3 < \
        10
    if x: a = 1
    else: a = 2
    if not x and (a
                  or b):
        a = 3
    assert a, "never"
    return [a, b, c, d]


def exceptions(kind):
    try:
        try:
            if kind:
                raise kind("x")
        except ValueError: result = 1
        except (KeyError,
                IndexError) as error:
            result = 2
            del error
        else:
            result = 3
        finally:
            result = 0
    except TypeError: return "type"
    except Exception as error:
        try: raise
        except Exception: pass
        return repr(error)
    return result


def one_line_exceptions():
    try: 1 / 0
    except ZeroDivisionError: pass
    try:
        try: 1 / 0
        finally: x = 1
    except ZeroDivisionError: x = 2
    with Manager(True): raise ValueError
    with Manager(True), Manager(False):
        raise ValueError
    with (Manager(True) as a,
          Manager() as b):
        a = b; 1 / 0
    with contextlib.suppress(KeyError): {}[1]
    return x


def reraises():
    for kind in (ValueError, KeyError):
        try:
            try:
                raise kind
            except ValueError:
                raise
            finally:
                for _ in range(2): pass
        except Exception as error:
            last = error
    return type(last)


def groups():
    try:
        raise ExceptionGroup("g", [ValueError(1), TypeError(2)])
    except* ValueError as e:
        a = e
    except* TypeError: b = 1
    return a is not None and b


def calls():
    f = lambda *a, **k: (a, k)
    f(1,
      2, x=
      3,
      y=f(
          4
      ))
    f(*[1,
        2], **{
            "a": 1})
    return (f(1)
            [0]
            [0])


def comprehensions():
    a = [i for i in range(3) if i]
    b = {i: j
         for i in range(2)
         for j in range(2)
         if i != j}
    c = sum(i
            for i in a)
    return a, b, c, {*a}


def generator(n):
    got = yield 1
    for i in range(n):
        try:
            got = yield (i,
                         got)
        except ValueError: yield "caught"
        finally:
            n -= 1
    x = (yield 2); y = (yield 3)
    return x, y


def delegating():
    result = yield from generator(2)
    yield from (
        i for i in range(2)
    )
    return result


def drive():
    g = delegating()
    out = [next(g), g.send(1), g.throw(ValueError), g.send(None)]
    with contextlib.suppress(StopIteration):
        while True: out.append(next(g))
    g = delegating(); next(g); g.close()
    g = generator(1)
    next(g)
    with contextlib.suppress(KeyError): g.throw(KeyError)
    return out


def matching(x):
    match x:
        case 0: return "zero"
        case [1, *rest] if rest:
            return rest
        case {"a": a,
              "b": b}: return a, b
        case str() | bytes():
            y = 1
        case Manager(swallow=True):
            y = 2
        case _:
            y = 3
    return y


class Body:
    x = 1
    if x: y = 2
    for z in range(2):
        pass
    def method(self): return super().__init__()
    class Inner: pass


@contextlib.contextmanager
def managed():
    try: yield 1
    finally: pass


async def counting(n):
    for i in range(n):
        await asyncio.sleep(0); yield i


async def asynchronous():
    total = 0
    async for i in counting(3):
        total += i
        if i: continue
    async for i in counting(2): total += i
    async with contextlib.AsyncExitStack() as stack:
        await asyncio.gather(*(
            asyncio.sleep(0) for _ in range(2)))
    values = [i async for i in counting(2) if i]
    try:
        await asyncio.wait_for(
            asyncio.sleep(1), 0.001)
    except asyncio.TimeoutError: pass
    async for i in counting(5):
        break
    return total, values, stack


def closures():
    x = 1
    def inner(): nonlocal x; x += 1; return x
    return inner() + inner()


def wide():
    # So many names and constants that arguments need EXTENDED_ARG.
    scope = {}
    exec("\n".join(f"v{i} = {i + 1000}\nif v{i} % 3: v{i} += {i}.5" for i in range(300)), scope)
    exec("def f(x):\n while x:\n  x -= 1\n" + "\n".join(f"  if x == {i}: continue" for i in range(300)), scope)
    return scope["f"](5)


def main():
    one_line(1)
    loops(6)
    while_first()
    for x in (0, 1): branches(x)
    for kind in (None, ValueError, IndexError, TypeError, OSError): exceptions(kind)
    one_line_exceptions()
    reraises()
    groups()
    calls()
    comprehensions()
    drive()
    for x in (0, [1, 2], {"a": 1, "b": 2}, "", Manager(True), Manager(), 3.5): matching(x)
    Body().method()
    with managed(): pass
    asyncio.run(asynchronous())
    closures()
    wide()
    try: exec("1/0")
    except ZeroDivisionError: pass
    eval("[x for x in (1, 2)]")


main()
