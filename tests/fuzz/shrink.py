"""Makes a faulty program smaller.

Owns the ways to make a program smaller: by its lines, for how it is laid out may be what matters. It must
never decide what a fault is.
"""

import ast
import time
import warnings
from collections.abc import Callable, Iterator


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
        while at < len(spans := statements(text)):
            shrunk = first_faulty(candidates(text, spans[at]))
            text, at = (shrunk, at) if shrunk is not None else (text, at + 1)
    return text


def without(text: str, at: int, count: int) -> str | None:
    """A program without so many of the module's statements; `None` behind the last."""
    gone = ast.parse(text).body[at : at + count]
    lines = text.splitlines()
    return "\n".join([*lines[: first(gone[0]) - 1], *lines[gone[-1].end_lineno :], ""]) if gone else None


def statements(text: str) -> list[tuple[int, int]]:
    """The first and last lines of all statements, the biggest first."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt | ast.ExceptHandler)]
    spans = {(first(node), node.end_lineno or 0) for node in nodes}
    return sorted(spans, key=lambda span: (span[0] - span[1], span))


def candidates(text: str, span: tuple[int, int]) -> Iterator[str]:
    """Programs without a statement, or with a compound one's body instead of it."""
    lines = text.splitlines()
    start, end = span
    before, statement, behind = lines[: start - 1], lines[start - 1 : end], lines[end:]
    indent = len(statement[0]) - len(statement[0].lstrip())
    deeper = len(statement[-1]) - len(statement[-1].lstrip()) - indent
    yield "\n".join([*before, *behind, ""])
    if statement[0].strip() != "pass":
        yield "\n".join([*before, " " * indent + "pass", *behind, ""])
    if deeper > 0:
        body = [line[4:] for line in statement[1:]]
        yield "\n".join([*before, *body, *behind, ""])


def first(node: ast.stmt | ast.ExceptHandler) -> int:
    """A statement's first line, decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])


def compiles(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<smaller>", "exec")
    except SyntaxError:
        return False
    return True
