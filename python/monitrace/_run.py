"""Runs a program in this process as ``python`` itself would.

Owns what the program sees of how it was started: ``sys.argv``, ``sys.path[0]``, ``__main__``, and
the traceback of what it does not catch. It must never change how the program ends: whatever that
raises goes on to the interpreter, which then ends as it does for ``python``.
"""

import builtins
import importlib.machinery
import os
import sys
from collections.abc import Callable
from types import CodeType, ModuleType, TracebackType
from typing import Any, Literal, NamedTuple


class Program(NamedTuple):
    """What to run, and its arguments: a file, folder or archive, a module by its name, or code."""

    kind: Literal["file", "module", "code"]
    name: str
    arguments: list[str]


def prepare(program: Program) -> Callable[[], None]:
    """Make this process look as if the program had been started, and return what runs it.

    Raises OSError if its file cannot be read. What is returned raises whatever the program does,
    ``SystemExit`` and ``KeyboardInterrupt`` among them, and the compiler's errors.
    """
    start = _PREPARE[program.kind](program)

    def run() -> None:
        try:
            start()
        except SystemExit:
            raise
        except BaseException as error:
            _begin_traceback_with_program(error)
            raise

    return run


def _prepare_code(program: Program) -> Callable[[], None]:
    sys.argv = ["-c", *program.arguments]
    _set_first_path("")
    namespace = _fresh_main(importlib.machinery.BuiltinImporter)

    def start() -> None:
        source = program.name
        if sys.version_info >= (3, 14) and source[:1].isspace():
            import textwrap

            source = textwrap.dedent(source)
        code = _compile(source, "<string>")
        _remember_lines(code, source)
        exec(code, namespace)

    return start


def _prepare_module(program: Program) -> Callable[[], None]:
    # So it is while the module is looked for; runpy then puts the module's file there.
    sys.argv = ["-m", *program.arguments]
    _set_first_path(os.getcwd())
    _fresh_main(importlib.machinery.BuiltinImporter)
    return lambda: _run_as_main(program.name, alter_argv=True)


def _prepare_file(program: Program) -> Callable[[], None]:
    path = _absolute(program.name)
    sys.argv = [program.name, *program.arguments]
    if _is_importable(path):
        # A folder or an archive is put there even with -P.
        sys.path[: 0 if sys.flags.safe_path else 1] = [path]
        _fresh_main(importlib.machinery.BuiltinImporter)
        return lambda: _run_as_main("__main__", alter_argv=False)
    with open(path, "rb") as file:
        source = file.read()
    _set_first_path(os.path.dirname(os.path.realpath(path)))
    if path.endswith(".pyc"):
        bytecode = importlib.machinery.SourcelessFileLoader("__main__", path)
        namespace = _fresh_main(bytecode, path)
        return lambda: exec(bytecode.get_code("__main__"), namespace)
    namespace = _fresh_main(importlib.machinery.SourceFileLoader("__main__", path), path)
    return lambda: exec(_compile(source, path), namespace)


_PREPARE = {"code": _prepare_code, "module": _prepare_module, "file": _prepare_file}


def _compile(source: str | bytes, filename: str) -> CodeType:
    return compile(source, filename, "exec", dont_inherit=True)


def _remember_lines(code: CodeType, source: str) -> None:
    """Let tracebacks show the lines of ``-c``, as they do from 3.13 on."""
    if sys.version_info < (3, 13):
        return
    import linecache

    if sys.version_info >= (3, 14):
        linecache._register_code(code, source, "<string>")  # type: ignore[attr-defined]
    else:
        lines = [line + "\n" for line in source.splitlines()]
        linecache.cache["<string>"] = (len(source), None, lines, "<string>")


def _run_as_main(name: str, *, alter_argv: bool) -> None:
    # The interpreter itself calls this for -m and for folders: there is no public name for it.
    import runpy

    runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]


def _absolute(path: str) -> str:
    """Join a path to the working directory as the interpreter does, without normalising it."""
    return os.getcwd() if path == os.curdir else os.path.join(os.getcwd(), path)


def _is_importable(path: str) -> bool:
    """Whether modules can be imported from it: it is a folder or an archive."""
    for hook in sys.path_hooks:
        try:
            hook(path)
        except ImportError:
            continue
        return True
    return False


def _set_first_path(path: str) -> None:
    # With -P there is no such entry of ours to replace, and the program gets none.
    if not sys.flags.safe_path:
        sys.path[0] = path


# The module as which this command was started: its namespace is still in use.
_launcher: ModuleType | None = None


def _fresh_main(loader: object, file: str | None = None) -> dict[str, Any]:
    """Put a new ``__main__`` in place, with the names that the interpreter gives it."""
    global _launcher
    _launcher = sys.modules["__main__"]
    module = ModuleType("__main__")
    namespace = vars(module)
    namespace["__loader__"] = loader
    if sys.version_info < (3, 14):
        namespace["__annotations__"] = {}
    namespace["__builtins__"] = builtins
    if file is not None:
        namespace["__file__"] = file
        if sys.version_info < (3, 15):
            namespace["__cached__"] = None
    sys.modules["__main__"] = module
    return namespace


def _begin_traceback_with_program(error: BaseException) -> None:
    """Let the interpreter show the error without the frames of this package.

    They cannot be taken off here, because more are added on the way out.
    """
    own_file = _begin_traceback_with_program.__code__.co_filename
    visible = error.__traceback__
    while visible is not None and visible.tb_frame.f_code.co_filename == own_file:
        visible = visible.tb_next
    hook = sys.excepthook

    def excepthook(
        kind: type[BaseException], value: BaseException, traceback: TracebackType | None
    ) -> None:
        if value is error:
            value.__traceback__ = sys.last_traceback = traceback = visible
        hook(kind, value, traceback)

    sys.excepthook = excepthook
