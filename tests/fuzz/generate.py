"""Writes random Python programs: silent, bounded in time, the same for the same seed.

Owns the shapes that a program may have. What a program can do beside computing is what `session.py` gives
it: `log(value)`, `where()`, `switch()`. It must never write what takes its course from addresses, hashes
of strings, time or the garbage collector, and no loop or recursion without an end: a function calls
only what was defined before it.
"""

import random
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PRELUDE = """\
class Manager:
    def __init__(self, swallows=False, fails=0):
        self.swallows, self.fails = swallows, fails
    def __enter__(self):
        if self.fails & 1: raise KeyError("enter")
        return self
    def __exit__(self, kind, value, trace):
        log(kind and kind.__name__)
        if self.fails & 2: raise IndexError("exit")
        return self.swallows
    async def __aenter__(self):
        await Pause(1)
        return self.__enter__()
    async def __aexit__(self, *about):
        try: await Pause(2)
        finally: log("aexit")
        return self.__exit__(*about)
class Pause:
    def __init__(self, value): self.value = value
    def __await__(self):
        got = yield self.value
        return got
class Numbers:
    def __init__(self, end): self.at, self.end = 0, end
    def __iter__(self): return self
    def __next__(self):
        self.at += 1
        if self.at > self.end:
            raise StopIteration(self.end)
        return self.at
    def __aiter__(self): return self
    async def __anext__(self):
        self.at += 1
        if self.at > self.end: raise StopAsyncIteration
        if self.at == 2: await Pause("anext")
        return self.at
class Truth:
    def __init__(self, value): self.value = value
    def __bool__(self):
        if self.value is None: raise TypeError("truth")
        return self.value > 0
    def __lt__(self, other): return Truth(1)
    def __gt__(self, other): return not self
    def __eq__(self, other): return self.value == other
    def __add__(self, other): return self.value
    def __getitem__(self, key): return [1, 2][key]
    def __iter__(self):
        yield self.value
        return 3
class Base:
    kept = 1
    def method(self, a=1, *rest, b=2): return a
    @property
    def prop(self): return self.method(2)
    @classmethod
    def make(cls, *rest): return cls()
    @staticmethod
    def plain(a=0, **named): return a
class Derived(Base):
    def __init__(self, *rest): super().__init__()
    def method(self, a=1, *rest, **named):
        return super().method(a, *rest, **named) + 1
    def __call__(self, a=0):
        return super(Derived, self).plain(a)
def passed(function): return function
def wrapped(function):
    def wrapper(*rest, **named):
        return function(*rest, **named)
    return wrapper
def fails(kind=ValueError, *rest):
    raise kind(*rest)
def drive(coroutine, throws=-1):
    value = None
    for step in range(9):
        try:
            if step == throws:
                value = coroutine.throw(KeyError(step))
            else:
                value = coroutine.send(value)
        except StopIteration as end:
            return end.value
    coroutine.close()
"""

EXCEPTIONS = [
    *(
        "ValueError",
        "KeyError",
        "TypeError",
        "IndexError",
        "ZeroDivisionError",
        "StopIteration",
        "LookupError",
    ),
]
CAUGHT = [*EXCEPTIONS, "(ValueError, KeyError)", "Exception", "BaseException", "ArithmeticError", "fails()"]
CALLS_OF_C = [
    *("len([{}])", "str({})", "abs({})", "max({}, 1)", "sum([{}, 2])", "[3, 1].index({})", "divmod(7, {})"),
    *(
        "[1, 2].pop({})",
        "'a'.join({})",
        "int({})",
        "list({})",
        "tuple({})",
        "sorted([{}, 2])",
        "{{}}.get({})",
    ),
    *("list(zip([{}], 'ab'))", "list(map(abs, [{}]))", "isinstance({}, int)", "getattr({}, 'kept', 3)"),
    *("dict([({}, 1)])", "sorted([2, 1], key=lambda k: -k)", "next(iter([{}]))", "[*enumerate([{}])]"),
]
OBJECTS = ["Derived().method({})", "Derived({}).prop", "Base.make({})", "Derived.plain({})", "Derived()({})"]
SWITCHES = [
    *(
        "switch()",
        "switch()",
        "switch(1)",
        "len(str(switch()))",
        "list(map(switch, [1]))",
        "wrapped(switch)()",
    ),
    *("sorted([1], key=switch)", "[switch() for _ in (1, 2)]", "(log(1), switch(), log(2))", "switch(*[1])"),
    *(
        "abs(switch()) + abs(1)",
        "Base.plain(switch())",
        "next(map(switch, (1,)))",
        "Derived().method(switch())",
    ),
]


@dataclass
class Function:
    """One that can be called."""

    name: str
    kind: str
    """`def`, `gen`, `async` or `agen`."""


@dataclass
class Scope:
    """What may be written where."""

    kind: str = "module"
    names: list[str] = field(default_factory=lambda: ["a", "b", "c"])
    functions: list[Function] = field(default_factory=list)
    loops: int = 0
    """How many loops can be left or gone on with from here."""
    nesting: int = 0
    in_group: bool = False
    """Whether this is an `except*`, which cannot be left by a jump."""
    in_finally: bool = False
    cells: list[str] = field(default_factory=list)
    """Names of the function around that can be bound here."""

    @property
    def is_async(self) -> bool:
        return self.kind in ("async", "agen")


class Writer:
    """Writes one program."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.count = 0
        self.budget = 0
        statements: dict[str, int] = {
            **dict.fromkeys(("assign", "log", "call"), 6),
            **dict.fromkeys(("if_", "for_", "try_", "while_", "with_", "match_"), 4),
            **dict.fromkeys(("raise_", "assert_", "generator", "leave", "one_line", "lines"), 3),
            **dict.fromkeys(
                ("group", "nested", "class_", "switch", "unpack", "await_", "delete", "chain"), 2
            ),
            **dict.fromkeys(("big",), 0),
        }
        # Each program has a taste of its own.
        self.weights = {
            name: weight * self.random.choice((0, 1, 1, 1, 3)) for name, weight in statements.items()
        }
        self.weights["assign"] += 1

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def chance(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    # Expressions.

    def value(self, scope: Scope, depth: int = 0) -> str:
        """An expression of any type."""
        simple: list[Callable[[], str]] = [
            lambda: str(self.random.randrange(-1, 4)),
            lambda: self.random.choice(scope.names),
            lambda: self.pick(
                "None", "True", "False", "''", "'xy'", "()", "[1, 2]", "{1: 2}", "1.5", "undefined"
            ),
        ]
        if depth > 2:
            return self.random.choice(simple)()

        def sub() -> str:
            return self.value(scope, depth + 1)

        def lines() -> str:
            """A break of the line inside of parentheses, sometimes."""
            return "\n  " if self.chance(15) else ""

        many: list[Callable[[], str]] = [
            lambda: f"({sub()}{lines()} {self.pick('+', '-', '&', '|', '==', 'is', '<', 'in', '%')} {sub()})",
            lambda: f"({sub()} {self.pick('and', 'or')} {lines()}{sub()})",
            lambda: f"({sub()} if {sub()}{lines()} else {sub()})",
            lambda: f"(not {sub()})",
            lambda: f"({sub()} {self.pick('<', '==', 'in')} {sub()} {lines()}{self.pick('<', '!=')} {sub()})",
            lambda: f"({self.bindable(scope)} := {sub()})" if scope.kind != "class" else sub(),
            lambda: f"({sub()},{lines()} {sub()})",
            lambda: f"[{sub()},{lines()} *{self.pick('()', '[1]', 'range(2)')}]",
            lambda: f"{{{self.random.randrange(3)}: {sub()}{lines()}}}",
            lambda: f"f'{{{self.random.choice(scope.names)}}}{{{self.random.choice(scope.names)}!r:>3}}'",
            lambda: f"{sub()}[{self.pick('0', '1', '-1', ':1', '::2')}]" if depth else sub(),
            lambda: self.comprehension(scope, depth),
            lambda: self.random.choice(CALLS_OF_C).format(sub()),
            lambda: self.random.choice(OBJECTS).format(sub()),
            lambda: self.called(scope, depth),
            lambda: self.called(scope, depth),
            lambda: f"Truth({self.pick('0', '1', 'None')})",
            lambda: "where()",
            lambda: f"(lambda {self.pick('', 'q=1', '*q')}: {sub()})({self.pick('', '', '1')})",
            lambda: f"fails({self.pick('', 'KeyError', 'KeyError, 1', '1')})" if self.chance(20) else sub(),
        ]
        if scope.kind in ("gen", "agen") and depth < 2:
            many += [lambda: f"(yield {sub()})"] * 2
        if scope.kind == "gen" and depth < 2:
            many += [lambda: f"(yield from {self.iterable(scope)})"] * 2
        if scope.is_async and depth < 2:
            many += [lambda: f"(await {self.awaitable(scope)})"] * 3
        return self.random.choice(simple if self.chance(45) else many)()

    def bindable(self, scope: Scope) -> str:
        return self.random.choice(scope.names[:3])

    def comprehension(self, scope: Scope, depth: int) -> str:
        name = self.fresh("i")
        # The first iterable is not evaluated in the comprehension; what is in it cannot yield.
        source = self.iterable(scope)
        inner = Scope(names=[name, *scope.names], functions=scope.functions, kind="class")
        clauses = f"for {name} in {source}"
        if self.chance(30):
            clauses += f" if {self.value(inner, depth + 1)}"
        if self.chance(20):
            clauses += f" for {name}_ in {self.pick('range(2)', f'[{name}]', f'(1, {name})')}"
        if scope.is_async and self.chance(30):
            clauses = f"async for {name} in {self.async_iterable(scope)}"
        element = self.value(inner, depth + 1)
        if clauses.startswith("async"):
            return f"[{element} {clauses}]"
        return self.pick(
            *(f"[{element} {clauses}]", f"list({element} {clauses})", f"{{{name}: {element} {clauses}}}"),
            *(f"len({{{name} {clauses}}})", f"any(({element}) {clauses})", f"next(({element} {clauses}), 5)"),
        )

    def of_kind(self, scope: Scope, *kinds: str) -> str | None:
        found = [each.name for each in scope.functions if each.kind in kinds]
        return self.random.choice(found) if found else None

    def arguments(self, scope: Scope, depth: int) -> str:
        def sub() -> str:
            return self.value(scope, depth + 1)

        return self.random.choice(
            (
                *(lambda: "", lambda: "", sub, lambda: f"{sub()}, {sub()}", lambda: f"b={sub()}"),
                *(lambda: f"*[{sub()}]", lambda: f"*({sub()}, {sub()})", lambda: f"*range(2), b={sub()}"),
                *(lambda: f"{sub()}, **{{'b': {sub()}}}", lambda: "**{}", lambda: f"*[], **{{'c': {sub()}}}"),
                *(lambda: f"{sub()},\n  b={sub()}", lambda: f"*{self.pick('1', '{1: 2}', '()')}"),
            )
        )()

    def called(self, scope: Scope, depth: int) -> str:
        name = self.of_kind(scope, "def")
        if name is None or self.chance(10):
            name = self.pick("Base.plain", "Derived().method", "passed", "Derived", "list", "super", "1")
        return f"{name}({self.arguments(scope, depth)})"

    def iterable(self, scope: Scope) -> str:
        choices = [
            *(
                "range(2)",
                "range(3)",
                "[1, 2]",
                "(1,)",
                "()",
                "'ab'",
                "Numbers(2)",
                "Truth(1)",
                "{1: 2}.items()",
            ),
            *("zip('ab', range(3))", "map(abs, [1, -2])", "enumerate('ab')", "iter([1])", "reversed([1, 2])"),
            *("(k for k in range(3))", "filter(None, [0, 1])", "map(Truth, [0, 1])", "1"),
        ]
        name = self.of_kind(scope, "gen")
        if name and self.chance(50):
            return f"{name}({self.pick('', '1', '*[2]')})"
        return self.random.choice(choices)

    def awaitable(self, scope: Scope) -> str:
        name = self.of_kind(scope, "async")
        return (
            f"{name}()"
            if name and self.chance(60)
            else self.pick("Pause(1)", "Pause(2)", "1", "Numbers(1).__anext__()")
        )

    def async_iterable(self, scope: Scope) -> str:
        name = self.of_kind(scope, "agen")
        return f"{name}()" if name and self.chance(60) else self.pick("Numbers(2)", "Numbers(1)", "1")

    # Statements: lists of lines.

    def block(self, scope: Scope, most: int = 4) -> list[str]:
        """Statements, indented."""
        inner = Scope(**vars(scope))
        inner.nesting += 1
        inner.functions = list(scope.functions)
        return [f"    {line}" for line in self.body(inner, most)]

    def body(self, scope: Scope, most: int) -> list[str]:
        lines: list[str] = []
        for _ in range(self.random.randint(1, most)):
            lines += self.statement(scope)
        return lines

    def statement(self, scope: Scope) -> list[str]:
        self.budget -= 1
        deep = scope.nesting > 3 or self.budget < 0
        flat = (
            "assign",
            "log",
            "call",
            "raise_",
            "assert_",
            "generator",
            "leave",
            "switch",
            "unpack",
            "await_",
            "one_line",
        )
        names = [name for name in self.weights if not deep or name in flat]
        name = self.random.choices(names, [self.weights[name] for name in names])[0]
        return getattr(self, name)(scope)  # type: ignore[no-any-return]

    def split(self, text: str) -> list[str]:
        return text.split("\n")

    def assign(self, scope: Scope) -> list[str]:
        name = self.bindable(scope)
        operator = self.pick("=", "=", "=", "+=", "=")
        return self.split(f"{name} {operator} {self.value(scope)}")

    def unpack(self, scope: Scope) -> list[str]:
        first, second = self.random.sample(scope.names[:3], 2)
        target = self.pick(
            f"{first}, {second}", f"{first}, *{second}", f"[{first}, ({second})]", f"{first} = {second}"
        )
        return self.split(f"{target} = {self.value(scope)}")

    def log(self, scope: Scope) -> list[str]:
        return self.split(f"log({self.value(scope)})")

    def call(self, scope: Scope) -> list[str]:
        return self.split(self.called(scope, 0))

    def delete(self, scope: Scope) -> list[str]:
        return [f"del {self.bindable(scope)}"]

    def chain(self, scope: Scope) -> list[str]:
        return self.split(
            f"{self.bindable(scope)} = (Derived()\n  .make({self.value(scope, 1)})\n  .method(1))"
        )

    def switch(self, _: Scope) -> list[str]:
        return [self.random.choice(SWITCHES)]

    def one_line(self, scope: Scope) -> list[str]:
        parts = ["\n".join(self.random.choice((self.assign, self.log, self.call))(scope)) for _ in range(2)]
        if self.chance(20):
            parts.append(f"raise {self.random.choice(EXCEPTIONS)}")
        whole = "; ".join(parts)
        head = self.pick("", "", f"if {self.value(scope, 2)}: ", f"for {self.bindable(scope)} in range(2): ")
        return self.split(head + whole)

    def lines(self, scope: Scope) -> list[str]:
        parts = ",\n".join(f"  {self.value(scope, 1)}" for _ in range(self.random.randint(2, 4)))
        return self.split(
            f"{self.bindable(scope)} = {self.pick('log', 'len', 'max', 'Derived().method', '')}(\n{parts},\n)"
        )

    def condition(self, scope: Scope) -> str:
        return self.value(scope, 1)

    def if_(self, scope: Scope) -> list[str]:
        lines = [*self.split(f"if {self.condition(scope)}:"), *self.block(scope)]
        while self.chance(25):
            lines += [*self.split(f"elif {self.condition(scope)}:"), *self.block(scope, 2)]
        if self.chance(40):
            lines += ["else:", *self.block(scope)]
        return lines

    def in_loop(self, scope: Scope) -> Scope:
        inner = Scope(**vars(scope))
        inner.loops += 1
        inner.in_group = False
        return inner

    def or_else(self, scope: Scope) -> list[str]:
        return ["else:", *self.block(scope, 2)] if self.chance(30) else []

    def for_(self, scope: Scope) -> list[str]:
        target = self.pick(self.bindable(scope), self.bindable(scope), ", ".join(scope.names[:2]))
        if scope.is_async and self.chance(50):
            head = f"async for {target} in {self.async_iterable(scope)}:"
        else:
            head = f"for {target} in {self.iterable(scope)}:"
        return [head, *self.block(self.in_loop(scope), 3), *self.or_else(scope)]

    def while_(self, scope: Scope) -> list[str]:
        name = self.fresh("n")
        inner = self.block(self.in_loop(scope), 3)
        if self.chance(30):
            step = [f"    {name} -= 1", f"    if {name} < 0: break"]
            return [f"{name} = 2", "while True:", *step, *inner, *self.or_else(scope)]
        more = f" and {self.value(scope, 2)}" if self.chance(30) else ""
        return [
            f"{name} = 3",
            *self.split(f"while ({name} := {name} - 1) > 0{more}:"),
            *inner,
            *self.or_else(scope),
        ]

    def try_(self, scope: Scope) -> list[str]:
        lines = ["try:", *self.block(scope)]
        handlers = self.random.randrange(3)
        for _ in range(handlers):
            name = f" as {self.bindable(scope)}" if self.chance(40) else ""
            again = ["    raise"] if self.chance(20) else []
            lines += [f"except {self.random.choice(CAUGHT)}{name}:", *self.block(scope, 3), *again]
        if handlers and self.chance(20):
            lines += ["except:", *self.block(scope, 2)]
        if handlers and self.chance(30):
            lines += ["else:", *self.block(scope, 2)]
        if not handlers or self.chance(30):
            lines += ["finally:", *self.block(scope, 3)]
        return lines

    def group(self, scope: Scope) -> list[str]:
        inner = Scope(**vars(scope))
        inner.in_group = True
        inner.loops = 0
        kinds = ", ".join(f"{self.random.choice(EXCEPTIONS)}({k})" for k in range(self.random.randint(1, 3)))
        body = self.block(scope, 2) if self.chance(50) else []
        lines = ["try:", *body, f"    raise ExceptionGroup('g', [{kinds}])"]
        for _ in range(self.random.randint(1, 2)):
            name = f" as {self.bindable(scope)}" if self.chance(40) else ""
            lines += [f"except* {self.random.choice(EXCEPTIONS)}{name}:", *self.block(inner, 2)]
        if self.chance(30):
            lines += ["finally:", *self.block(scope, 2)]
        return lines

    def with_(self, scope: Scope) -> list[str]:
        def item() -> str:
            text = f"Manager({self.pick('', '', 'True', 'True', 'False, 1', 'False, 2', 'True, 3')})"
            return f"{text} as {self.bindable(scope)}" if self.chance(40) else text

        items = item() if self.chance(70) else f"({item()},\n  {item()})"
        word = "async with" if scope.is_async and self.chance(60) else "with"
        return [*self.split(f"{word} {items}:"), *self.block(scope)]

    def match_(self, scope: Scope) -> list[str]:
        name = self.bindable(scope)
        patterns = [
            *("1", "'xy'", "None | True", "[1, *_]", f"[{name}]", f"{{1: {name}, **rest}}", f"int({name})"),
            *("Derived(kept=1)", f"({name}, _)", "[]", f"str() as {name}", "[[1], *_] | (1, 2)", "-1 | 2"),
        ]
        lines = self.split(f"match {self.value(scope, 1)}:")
        for _ in range(self.random.randint(1, 3)):
            guard = f" if {self.value(scope, 2)}" if self.chance(25) else ""
            head = self.split(f"case {self.random.choice(patterns)}{guard}:")
            lines += [f"    {line}" for line in (*head, *self.block(scope, 2))]
        if self.chance(50):
            lines += [f"    {line}" for line in ("case _:", *self.block(scope, 2))]
        return lines

    def raise_(self, scope: Scope) -> list[str]:
        kind, other = self.random.choice(EXCEPTIONS), self.random.choice(EXCEPTIONS)
        value = self.value(scope, 2)
        what = self.pick(
            kind, f"{kind}({value})", f"{kind}() from {other}(1)", f"{kind} from None", "", "", value
        )
        # Mostly not: a program that fails at once shows little.
        if self.chance(60):
            return self.split(f"if {self.value(scope, 1)}: raise {what}".rstrip())
        return self.split(f"raise {what}".rstrip())

    def assert_(self, scope: Scope) -> list[str]:
        return self.split(f"assert {self.value(scope, 1)}{self.pick('', ', 1', ', fails()')}")

    def leave(self, scope: Scope) -> list[str]:
        choices = ["pass"]
        if scope.loops:
            choices += ["break", "continue"] * 2
        if scope.kind not in ("module", "class") and not scope.in_group:
            choices += (
                ["return", "return"] if scope.kind == "agen" else ["return", f"return {self.value(scope)}"]
            )
        leaving = self.random.choice(choices)
        if self.chance(50):
            return self.split(f"if {self.value(scope, 1)}: {leaving}")
        return self.split(leaving)

    def generator(self, scope: Scope) -> list[str]:
        """Runs a generator by hand; or a coroutine, where there is one."""
        drive = f"drive({{}}(), {self.pick('-1', '-1', '0', '1', '2')})"
        coroutine = self.of_kind(scope, "async")
        if coroutine and self.chance(50):
            return [f"log({drive.format(coroutine)})"]
        made = self.of_kind(scope, "gen")
        if not made:
            return self.log(scope)
        name = self.bindable(scope)
        lines = [f"{name} = {made}()"]
        for _ in range(self.random.randint(1, 4)):
            step = self.pick(
                *(f"next({name})", f"log(next({name}, 7))", f"{name}.send(None)", f"{name}.send(3)"),
                *(
                    f"{name}.throw(ValueError(1))",
                    f"{name}.throw(KeyError)",
                    f"{name}.close()",
                    f"list({name})",
                ),
                *(f"log([*{name}])", f"for {name} in {name}: break", f"{name} = None"),
            )
            if self.chance(40):
                lines += ["try:", f"    {step}", f"except {self.random.choice(CAUGHT)}: log(1)"]
            else:
                lines.append(step)
        return lines

    def await_(self, scope: Scope) -> list[str]:
        if scope.is_async:
            return [f"{self.bindable(scope)} = await {self.awaitable(scope)}"]
        return self.log(scope)

    def nested(self, scope: Scope) -> list[str]:
        kind = (
            self.pick("def", "def", "gen", "async")
            if scope.kind != "async"
            else self.pick("def", "gen", "async")
        )
        cells = [] if scope.kind in ("module", "class") else scope.names[:3]
        lines, function = self.function(scope, kind, cells)
        if scope.kind != "class":
            scope.functions.append(function)
        return lines

    def class_(self, scope: Scope) -> list[str]:
        name = self.fresh("C")
        inner = Scope(
            kind="class", names=list(scope.names), functions=list(scope.functions), nesting=scope.nesting + 1
        )
        method = self.fresh("m")
        lines = [f"class {name}({self.pick('Base', 'Derived', '')}):"]
        lines += [f"    {line}" for line in self.body(inner, 3)]
        lines += [
            f"    def {method}(self, a=1, b=2, c=3):",
            f"        log({self.pick('a', 'self.kept', 'super().method(a)')})",
        ]
        lines += [
            f"        {line}"
            for line in self.body(Scope(kind="def", functions=list(scope.functions), nesting=3), 2)
        ]
        return [*lines, f"{name}().{method}({self.arguments(scope, 1)})"]

    def function(self, scope: Scope, kind: str, cells: list[str]) -> tuple[list[str], Function]:
        name = self.fresh(kind)
        parameters = self.pick(
            "a=1, b=2, c=3", "a=1, *b, c=2", "a=1, b=(), **c", "*a, b=1, c=2", "a=(), /, b=1, *, c=2"
        )
        inner = Scope(kind=kind, functions=list(scope.functions), nesting=scope.nesting)
        lines = (
            [self.pick("@passed", "@wrapped", "@(lambda f: f)")] if kind == "def" and self.chance(20) else []
        )
        word = "async def" if kind in ("async", "agen") else "def"
        if cells and self.chance(60):
            parameters, inner.names = "", [*cells]
            lines.append(f"{word} {name}(*_, **__):")
            lines.append(
                f"    nonlocal {', '.join(cells)}"
                if self.chance(50) and not self.in_class(scope)
                else "    a = b = c = 1"
            )
        else:
            lines.append(f"{word} {name}({parameters}):")
        if kind in ("gen", "agen"):
            lines.append(f"    yield {self.pick('0', 'a', 'log(1)')}")
        lines += self.block(inner, 5)
        return lines, Function(name, kind)

    def in_class(self, scope: Scope) -> bool:
        return scope.kind in ("class", "module")

    def program(self) -> str:
        """The text of the whole."""
        scope = Scope()
        lines = ["a = b = c = 1"]
        for _ in range(self.random.randint(1, 5)):
            self.budget = 14
            made, function = self.function(scope, self.pick("def", "def", "gen", "gen", "async", "agen"), [])
            lines += made
            scope.functions.append(function)
        calls = []
        for function in scope.functions:
            call = {
                "def": f"log({function.name}())",
                "gen": f"log(list({function.name}()))",
                "async": f"log(drive({function.name}()))",
                "agen": f"log(drive({function.name}().asend(None)))",
            }[function.kind]
            calls += ["try:", f"    {call}", "except Exception as error:", "    log(error)"]
        self.budget = 8
        return PRELUDE + "\n".join([*lines, *calls, *self.body(scope, 5)]) + "\n"


def program(seed: int) -> str:
    """The program of a seed, one that compiles."""
    for attempt in range(1000):
        text = Writer(seed * 1000 + attempt).program()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compile(text, "<program>", "exec")
        except SyntaxError:
            continue
        return text
    raise RuntimeError(f"no program of seed {seed} compiles")
