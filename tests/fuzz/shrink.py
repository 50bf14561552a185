"""Makes a faulty program smaller.

Owns the ways to make a program smaller: by its lines, for how it is laid out may be what matters. It must
never decide what a fault is.
"""

import ast
from collections.abc import Callable, Iterator


def smaller(text: str, kind: str, check: Callable[[str], str]) -> str:
    """A program with the same kind of fault from which no statement can be taken, as far as was tried."""
    tried = {text}
    shrank = True
    while shrank:
        shrank = False
        for candidate in candidates(text):
            if candidate in tried:
                continue
            tried.add(candidate)
            if _compiles(candidate) and check(candidate) == kind:
                text, shrank = candidate, True
                break
    return text


def candidates(text: str) -> Iterator[str]:
    """Programs with one statement less, or with a compound one's body instead of it; the biggest first."""
    lines = text.splitlines()
    statements = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt | ast.ExceptHandler)]
    spans = {(first(node), node.end_lineno or 0) for node in statements}
    for start, end in sorted(spans, key=lambda span: span[0] - span[1]):
        yield "\n".join([*lines[: start - 1], *lines[end:], ""])
        yield "\n".join([*lines[: start - 1], " " * _indent(lines[start - 1]) + "pass", *lines[end:], ""])
        if end > start:
            depth = _indent(lines[start]) - _indent(lines[start - 1])
            body = [line[depth:] for line in lines[start:end] if depth > 0]
            yield "\n".join([*lines[: start - 1], *body, *lines[end:], ""])


def first(node: ast.stmt | ast.ExceptHandler) -> int:
    """A statement's first line, decorators included."""
    return min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _compiles(text: str) -> bool:
    try:
        compile(text, "<smaller>", "exec")
    except SyntaxError:
        return False
    return True
