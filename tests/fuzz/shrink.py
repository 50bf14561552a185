"""Makes a faulty program smaller.

Owns the ways to make a program smaller: by its lines, for how it is laid out may be what matters. It must
never decide what a fault is.
"""

import ast
import warnings
from collections.abc import Callable, Iterator


def smaller(text: str, is_faulty: Callable[[str], bool]) -> str:
    """A program with the same fault from which no statement can be taken, as far as was tried."""
    before = ""
    while text != before:
        before = text
        # What could not be taken once is not tried again before the end.
        at = 0
        while at < len(spans := statements(text)):
            found = next((each for each in candidates(text, spans[at]) if compiles(each) and is_faulty(each)), None)
            if found is None:
                at += 1
            else:
                text = found
    return text


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
    return min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])


def compiles(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<smaller>", "exec")
    except SyntaxError:
        return False
    return True
