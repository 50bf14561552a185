"""Makes a faulty program smaller.

Owns the ways to make a program smaller: by its lines, for how it is laid out may be what matters. It must
never decide what a fault is.
"""

import ast
import time
import warnings
from collections.abc import Callable, Iterator
from typing import TypeAlias

Statement: TypeAlias = ast.stmt | ast.ExceptHandler


def smaller(text: str, is_faulty: Callable[[str], bool], seconds: float) -> str:
    """A smaller program with the same fault: the best that was found in that time."""
    end, before = time.monotonic() + seconds, ""

    def first_faulty(texts: Iterator[str]) -> str | None:
        return next(
            (each for each in texts if time.monotonic() < end and compiles(each) and is_faulty(each)), None
        )

    count = len(ast.parse(text).body)
    while count := count // 2:
        at = 0
        while found := without(text, at, count):
            if first_faulty(iter([found])):
                text = found
            else:
                at += count
    while text != before:
        before, at = text, 0
        # What could not be taken once is not tried again before the end.
        while at < len(nodes := statements(text)):
            shrunk = first_faulty(candidates(text, nodes[at]))
            text, at = (shrunk, at) if shrunk is not None else (text, at + 1)
    return text


def without(text: str, at: int, count: int) -> str | None:
    """A program without so many of the module's statements; `None` behind the last."""
    gone = ast.parse(text).body[at : at + count]
    lines = text.splitlines()
    return "\n".join([*lines[: first(gone[0]) - 1], *lines[gone[-1].end_lineno :], ""]) if gone else None


def statements(text: str) -> list[Statement]:
    """All statements, the biggest first."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, Statement)]
    return sorted(nodes, key=lambda node: (first(node) - last(node), first(node)))


def candidates(text: str, node: Statement) -> Iterator[str]:
    """Programs without a statement, or with one of its bodies instead of it."""
    lines = text.splitlines()
    before, head, behind = lines[: first(node) - 1], lines[first(node) - 1], lines[last(node) :]
    indent = len(head) - len(head.lstrip())
    yield "\n".join([*before, *behind, ""])
    if head.strip() != "pass":
        yield "\n".join([*before, " " * indent + "pass", *behind, ""])
    for name in ("body", "orelse", "finalbody"):
        if body := getattr(node, name, []):
            inner = lines[first(body[0]) - 1 : last(body[-1])]
            deeper = len(inner[0]) - len(inner[0].lstrip()) - indent
            # What lies on the first line of the statement, or within parentheses, need not be so deep.
            whole = [line[min(deeper, len(line) - len(line.lstrip())) :] for line in inner]
            yield "\n".join([*before, *whole, *behind, ""])


def first(node: Statement) -> int:
    """A statement's first line, decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])


def last(node: Statement) -> int:
    """Its last line."""
    return node.end_lineno or node.lineno


def compiles(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<smaller>", "exec")
    except SyntaxError:
        return False
    return True
