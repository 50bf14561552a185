"""The command line: what its options mean, and how errors of the user are told.

It runs inside the process that it watches. So it imports little, and nothing that the program
might bring in another version.
"""

import argparse
import atexit
import os
import sys
from collections.abc import Callable, Sequence
from typing import Literal, NoReturn

from monitrace import __version__, _activation, _native, install
from monitrace._run import Program, prepare

# The events of `trace` unless -e names others: those that happen several times a line drown them.
_DEFAULT_EVENTS = [name for name in _native.EVENTS if name not in ("INSTRUCTION", "JUMP")]

_PROGRAM = "PROGRAM is FILE, a folder or an archive with a __main__.py, -m MODULE or -c CODE."


class _Parser(argparse.ArgumentParser):
    """Tells errors in one line, as every error of this command."""

    def error(self, message: str) -> NoReturn:
        _fail(message)


def _fail(message: str, status: int = 2) -> NoReturn:
    _complain(message)
    raise SystemExit(status)


def _complain(message: str) -> None:
    # The program may have closed or replaced sys.stderr.
    print(f"monitrace: error: {message}", file=sys.__stderr__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status; a program's own end comes out of it."""
    options = _parser().parse_args(arguments)
    status: int = options.command(options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="monitrace",
        description="Shows what a Python program does while it runs, by the events of sys.monitoring.",
        epilog="example:\n  monitrace trace -e LINE,PY_RETURN program.py --its-option",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"monitrace {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    def command(name: str, summary: str, example: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        assert isinstance(added, argparse.ArgumentParser)
        return added

    trace = command(
        "trace",
        "run a program and write its events, one a line",
        "monitrace trace -e PY_START,PY_RETURN --format jsonl -o events.jsonl program.py",
    )
    trace.set_defaults(command=_trace)
    trace.add_argument(
        "-e",
        dest="events",
        metavar="EVENT,…",
        action="append",
        help="the events to write (default: all but INSTRUCTION and JUMP)",
    )
    trace.add_argument(
        "--format", choices=("text", "jsonl"), default="text", help="text, or one JSON object a line"
    )
    trace.add_argument("-o", dest="output", metavar="REPORT", help="write to this file (default: standard error)")
    trace.add_argument(
        "--include",
        metavar="GLOB",
        action="append",
        default=[],
        help="only files that match (default: those outside the standard library and site-packages)",
    )
    trace.add_argument(
        "--exclude", metavar="GLOB", action="append", default=[], help="not the files that match"
    )
    _add_program(trace)

    run = command(
        "run",
        "run a program with sys.monitoring installed, as python would",
        "monitrace run -m package --its-option",
    )
    run.set_defaults(command=_run)
    _add_program(run)

    for name, change, summary in (
        ("enable", _activation.enable, "install sys.monitoring whenever this environment's Python starts"),
        ("disable", _activation.disable, "undo enable"),
        ("status", _activation.status, "tell whether sys.monitoring is installed at start-up"),
    ):
        added = command(name, summary, f"monitrace {name}")
        added.set_defaults(command=lambda _, change=change: _activate(change))
    return parser


def _add_program(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("program", _PROGRAM)
    # Each takes all that follows: the program's own options are not ours.
    group.add_argument("-m", dest="module", metavar="MODULE", nargs=argparse.REMAINDER, help="a module and its arguments")
    group.add_argument("-c", dest="code", metavar="CODE", nargs=argparse.REMAINDER, help="code and its arguments")
    group.add_argument("file", metavar="FILE", nargs=argparse.REMAINDER, help="a file and its arguments")


def _program(options: argparse.Namespace) -> Program:
    if options.module is not None:
        return _of_words("module", options.module, "-m needs the name of a module")
    if options.code is not None:
        return _of_words("code", options.code, "-c needs code")
    words = options.file[1:] if options.file[:1] == ["--"] else options.file
    return _of_words("file", words, f"no program was given: {_PROGRAM}")


def _of_words(
    kind: Literal["file", "module", "code"], words: Sequence[str], missing: str
) -> Program:
    if not words:
        _fail(missing)
    name, *arguments = words
    return Program(kind, name, arguments)


def _prepare(program: Program) -> Callable[[], None]:
    try:
        return prepare(program)
    except OSError as error:
        _fail(f"cannot open {program.name!r}: {error.strerror}")


def _run(options: argparse.Namespace) -> int:
    run = _prepare(_program(options))
    try:
        install()
    except ImportError as error:
        _fail(str(error), status=1)
    run()
    return 0


def _trace(options: argparse.Namespace) -> int:
    report = _open_report(options)
    run = _prepare(_program(options))
    # Registered before the program can register anything, it runs after all of that, and after
    # the program's threads: the report has them too.
    atexit.register(_finish, report)
    if hasattr(os, "register_at_fork"):
        # A child of the program is another process, which writes nothing.
        os.register_at_fork(before=report.flush, after_in_child=report.abandon)
    try:
        report.start()
    except (ImportError, RuntimeError) as error:
        _fail(str(error), status=1)
    try:
        run()
    except SystemExit as leaving:
        if _is_success(leaving.code) and not _is_written(report):
            raise SystemExit(1) from None
        raise
    except BaseException:
        # Before the interpreter writes the traceback.
        report.flush()
        raise
    return 0 if _is_written(report) else 1


def _is_success(code: object) -> bool:
    return code is None or (isinstance(code, int) and code == 0)


def _is_written(report: _native.Trace) -> bool:
    """Whether all of the report so far could be written. If not, say so."""
    report.flush()
    return not report.failed or _finish(report)


def _finish(report: _native.Trace) -> bool:
    try:
        report.finish()
    except BrokenPipeError:
        # Whoever read the report has seen enough.
        pass
    except OSError as error:
        _complain(f"cannot write the report: {os.strerror(error.errno or 0)}")
        return False
    return True


def _open_report(options: argparse.Namespace) -> _native.Trace:
    is_terminal = options.output is None and sys.stderr is not None and sys.stderr.isatty()
    try:
        return _native.Trace(
            _events(options.events),
            format=options.format,
            output=options.output,
            include=options.include,
            exclude=options.exclude,
            libraries=_libraries(),
            hidden=_own_files(),
            directory=os.getcwd(),
            colour=options.output is None and _wants_colour(is_terminal),
            immediate=is_terminal,
        )
    except ValueError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"cannot write {options.output!r}: {error.strerror}")


def _events(options: Sequence[str] | None) -> Sequence[str]:
    if options is None:
        return _DEFAULT_EVENTS
    known = (*_native.EVENTS, "BRANCH")
    names = [name.strip().upper() for option in options for name in option.split(",")]
    for name in names:
        if name not in known:
            _fail(f"no event is called {name!r}; the events are {', '.join(known)}")
    return names


def _wants_colour(is_terminal: bool) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return is_terminal and os.environ.get("TERM") != "dumb"


def _own_files() -> list[str]:
    """This package, and the script as which it was started."""
    package = os.path.dirname(os.path.abspath(__file__))
    script = getattr(sys.modules["__main__"], "__file__", None)
    return [package] if script is None else [package, os.path.abspath(script)]


def _libraries() -> list[str]:
    """The folders that hold no files of the program, and what the names of frozen code begin with."""
    import site
    import sysconfig

    folders = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders.update(site.getsitepackages())
    folders.add(site.getusersitepackages())
    return ["<frozen ", *sorted(folders | {os.path.realpath(folder) for folder in folders})]


def _activate(change: Callable[[], str]) -> int:
    try:
        print(change())
    except _activation.NoEnvironmentError as error:
        _fail(str(error), status=1)
    except OSError as error:
        _fail(f"cannot change {error.filename!r}: {error.strerror}", status=1)
    return 0
