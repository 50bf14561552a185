"""What a code-like tells of itself, to Python and to C code that takes it for a code object."""

import ctypes
import dis
import gc
import json
import pickle
import sys
import typing
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import monitrace
import pytest
from monitrace import CodeLike


def nested(code: CodeType) -> Iterator[CodeType]:
    """A code object and all within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from nested(constant)


Line = tuple[int, int, int | None]


def lines_of(code: CodeType) -> list[Line]:
    """Its lines, as 3.12 and later tell them: 3.11 shows where its table begins a new entry."""
    lines: list[Line] = []
    for start, end, line in code.co_lines():
        if lines and lines[-1][2] == line:
            start = lines.pop()[0]
        lines.append((start, end, line))
    return lines


def codes() -> list[CodeType]:
    """Code objects of every shape, as the compiler makes them."""
    files = [Path(module.__file__ or "") for module in (dis, json.decoder, typing)]
    compiled = [compile(file.read_text("utf-8"), file.name, "exec") for file in files]
    return [code for module in compiled for code in nested(module)]


# ---- Names, lines and positions -----------------------------------------------------------------


def test_names() -> None:
    code = CodeLike("work", "shop.rules", 7, qualname="Shop.work")
    assert (code.co_name, code.co_qualname, code.co_filename) == ("work", "Shop.work", "shop.rules")
    assert code.co_firstlineno == 7
    assert CodeLike("work", "shop.rules").co_qualname == "work"
    assert CodeLike("work", "shop.rules").co_firstlineno == 1
    assert CodeLike("w\udc80rk", "\udc80.rules").co_name == "w\udc80rk"


def test_without_lines_it_is_one_unit_on_the_first_line() -> None:
    code = CodeLike("work", "shop.rules", 7)
    assert list(code.co_lines()) == [(0, 2, 7)]
    assert list(code.co_positions()) == [(7, 7, None, None)]
    assert list(code.co_branches()) == []
    assert code.co_code == bytes(2)


def test_lines_of_python_code_are_given_back() -> None:
    for code in codes():
        code_like = CodeLike(code.co_name, code.co_filename, code.co_firstlineno, lines=code.co_lines())
        assert list(code_like.co_lines()) == lines_of(code)
        assert list(dis.findlinestarts(code_like)) == list(dis.findlinestarts(code))  # type: ignore[arg-type]
        lines = [
            (line, line, None, None) for start, end, line in code.co_lines() for _ in range(start, end, 2)
        ]
        assert list(code_like.co_positions()) == lines
        assert code_like.co_code == bytes(len(code.co_code))


def test_positions_of_python_code_are_given_back() -> None:
    for code in codes():
        code_like = CodeLike(
            code.co_name, code.co_filename, code.co_firstlineno, positions=code.co_positions()
        )
        assert list(code_like.co_positions()) == list(code.co_positions())
        assert list(code_like.co_lines()) == lines_of(code)


BIG = 2**31 - 2


@pytest.mark.parametrize(
    "position",
    [
        (0, 0, 0, 0),
        (1, BIG, 0, BIG),
        (BIG, BIG, BIG, 0),
        (BIG, BIG, None, None),
        (3, 9, None, None),
        (None, None, None, None),
    ],
)
@pytest.mark.parametrize("first", [0, 1, BIG])
def test_positions_may_be_far(position: Any, first: int) -> None:
    code = CodeLike("work", "shop.rules", first, positions=[position] * 20)
    assert list(code.co_positions()) == [position] * 20
    assert list(code.co_lines()) == [(0, 40, position[0])]


def test_branches_are_given_back() -> None:
    branches = [(0, 2, 4), (4, 6, 0)]
    code = CodeLike("work", "shop.rules", lines=[(0, 8, 1)], branches=iter(branches))
    assert list(code.co_branches()) == branches
    assert list(code.co_branches()) == branches


def test_branches_of_python_code_are_given_back() -> None:
    monitrace.install()  # before 3.14, code objects have co_branches from it
    count = 0
    for code in codes():
        branches = list(code.co_branches())  # type: ignore[attr-defined]
        code_like = CodeLike(code.co_name, code.co_filename, lines=code.co_lines(), branches=branches)
        assert list(code_like.co_branches()) == branches
        count += len(branches)
    assert count > 100


def test_line_that_c_code_finds_is_the_line() -> None:
    # line_profiler asks for it at each return, whatever the code is.
    address_to_line = ctypes.pythonapi.PyCode_Addr2Line
    address_to_line.argtypes = [ctypes.py_object, ctypes.c_int]
    for code in codes():
        code_like = CodeLike(
            code.co_name, code.co_filename, code.co_firstlineno, positions=code.co_positions()
        )
        for start, _, line in code.co_lines():
            assert address_to_line(code_like, start) == (-1 if line is None else line)
        assert address_to_line(code_like, -1) == code.co_firstlineno


def test_code_that_c_code_finds_is_empty() -> None:
    get_code = ctypes.pythonapi.PyCode_GetCode
    get_code.argtypes = [ctypes.py_object]
    get_code.restype = ctypes.py_object
    assert get_code(CodeLike("work", "shop.rules", lines=[(0, 1000, 1)])) == b""


def test_replace() -> None:
    code = CodeLike(
        "work", "shop.rules", 7, qualname="Shop.work", lines=[(0, 2, 7), (2, 6, 9)], branches=[(0, 2, 4)]
    )
    moved = code.replace(co_filename="other.rules", co_firstlineno=107)
    assert (moved.co_filename, moved.co_name, moved.co_qualname) == ("other.rules", "work", "Shop.work")
    assert list(moved.co_lines()) == [(0, 2, 107), (2, 6, 109)]
    assert list(moved.co_branches()) == [(0, 2, 4)]
    named = code.replace(co_name="play", co_qualname="Shop.play")
    assert (named.co_name, named.co_qualname, named.co_filename) == ("play", "Shop.play", "shop.rules")
    assert code.replace() is not code
    with pytest.raises(ValueError, match=r"^co_firstlineno must not be negative$"):
        code.replace(co_firstlineno=-1)
    with pytest.raises(TypeError):
        code.replace(co_code=b"")  # type: ignore[call-arg]


# ---- The object ---------------------------------------------------------------------------------


def test_it_is_known_by_its_identity() -> None:
    one, other = CodeLike("work", "shop.rules"), CodeLike("work", "shop.rules")
    assert one != other
    assert {one: 1, other: 2} == {one: 1, other: 2}
    assert len({one, other}) == 2


def test_repr_names_the_place() -> None:
    code = CodeLike("work", "shop.rules", 7)
    assert repr(code) == f'<CodeLike work at {id(code):#x}, file "shop.rules", line 7>'
    assert type(code).__module__ == "monitrace"


def test_it_dies() -> None:
    filename = "".join(["shop", ".rules"])
    before = sys.getrefcount(filename)
    code = CodeLike("work", filename, lines=[(0, 80, 1)], branches=[(0, 2, 4)])
    assert list(code.co_lines())
    gone = weakref.ref(code)
    del code
    gc.collect()
    assert gone() is None
    assert sys.getrefcount(filename) == before


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match=r"^cannot pickle CodeLike objects$"):
        pickle.dumps(CodeLike("work", "shop.rules"), protocol)


def test_it_is_final_and_frozen() -> None:
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Mine", (CodeLike,), {})
    with pytest.raises(AttributeError):
        CodeLike("work", "shop.rules").co_name = "play"  # type: ignore[misc]


# ---- Mistakes -----------------------------------------------------------------------------------

_POSITION = "must have a line and an end line that is not before it, with two columns or none, or be all None"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"firstlineno": -1}, "firstlineno must not be negative"),
        ({"disable": "line"}, "disable must be 'slot' or 'offset'"),
        ({"lines": []}, "lines must not be empty"),
        ({"positions": iter(())}, "positions must not be empty"),
        ({"lines": [(2, 4, 1)]}, "lines[0] must begin at offset 0: lines leave no gaps"),
        ({"lines": [(0, 2, 1), (4, 6, 1)]}, "lines[1] must begin at offset 2: lines leave no gaps"),
        ({"lines": [(-2, 2, 1)]}, "lines[0] must begin at offset 0: lines leave no gaps"),
        ({"lines": [(0, 3, 1)]}, "lines[0] must end at an even offset behind its start"),
        ({"lines": [(0, 2, 1), (2, 2, 2)]}, "lines[1] must end at an even offset behind its start"),
        ({"lines": [(0, 2, -1)]}, "lines[0] is out of range"),
        ({"lines": [(0, 2, 2**31)]}, "lines[0] is out of range"),
        ({"lines": [(0, 2)]}, "lines[0] must be (start, end, line)"),
        ({"lines": [(0, 2**80, 1)]}, "lines[0] must be (start, end, line)"),
        ({"lines": [(0, 2**31, 1)]}, "the code is too long"),
        ({"positions": [(1, 1, 1)]}, "positions[0] must be (line, end_line, column, end_column)"),
        ({"positions": [(2, 1, None, None)]}, f"positions[0] {_POSITION}"),
        ({"positions": [(2, None, None, None)]}, f"positions[0] {_POSITION}"),
        ({"positions": [(None, None, 1, 1)]}, f"positions[0] {_POSITION}"),
        ({"positions": [(1, 1, 0, 0), (1, 1, 1, None)]}, f"positions[1] {_POSITION}"),
        ({"positions": [(1, 1, -1, 1)]}, "positions[0] is out of range"),
        ({"branches": [(0, 0)]}, "branches[0] must be (branch, left, right)"),
        ({"branches": [(0, 0, 0), (0, 2, 0)]}, "branches[1] must be even offsets of the code"),
        ({"branches": [(1, 0, 0)]}, "branches[0] must be even offsets of the code"),
        ({"branches": [(0, 0, -2)]}, "branches[0] must be even offsets of the code"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_value_is_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        CodeLike("work", "shop.rules", **arguments)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"lines": [(0, 2, 1)], "positions": []}, "only one of lines and positions can be given"),
        ({"lines": [[0, 2, 1]]}, "lines[0] must be (start, end, line)"),
        ({"lines": [(0, "2", 1)]}, "lines[0] must be (start, end, line)"),
        ({"positions": [(1, 1, 1.5, 2)]}, "positions[0] must be (line, end_line, column, end_column)"),
        ({"branches": [None]}, "branches[0] must be (branch, left, right)"),
        ({"lines": 3}, "'int' object is not iterable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_type_is_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError) as caught:
        CodeLike("work", "shop.rules", **arguments)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    "make",
    [
        lambda: CodeLike(b"work", "shop.rules"),  # type: ignore[arg-type]
        lambda: CodeLike("work", None),  # type: ignore[arg-type]
        lambda: CodeLike("work", "shop.rules", "7"),  # type: ignore[arg-type]
        lambda: CodeLike("work", "shop.rules", 1, "Shop.work"),  # type: ignore[call-arg]
        lambda: CodeLike("work"),  # type: ignore[call-arg]
    ],
)
def test_wrong_argument_is_a_type_error(make: Callable[[], CodeLike]) -> None:
    with pytest.raises(TypeError):
        make()


def test_exception_of_an_iterator_comes_out() -> None:
    def lines() -> Iterator[tuple[int, int, int]]:
        yield (0, 2, 1)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        CodeLike("work", "shop.rules", lines=lines())
