"""Errors of the user: one clear line and a status that says so. And the help."""

import os
from pathlib import Path

import pytest
from command import environment, monitrace, python


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trace", "-e", "LINE,FOO", "-c", "1"], "no event is called 'FOO'; the events are PY_START, "),
        (["trace", "--format", "xml", "-c", "1"], "invalid choice: 'xml'"),
        (["trace", "--bogus", "program.py"], "--bogus"),
        (["trace", "missing.py"], "cannot open 'missing.py': No such file or directory"),
        (["run", "missing.py"], "cannot open 'missing.py': No such file or directory"),
        (["run"], "no program was given"),
        (["run", "-m"], "-m needs the name of a module"),
        (["trace", "-c"], "-c needs code"),
        (["trace", "-o", "missing/report", "-c", "1"], "cannot write 'missing/report': No such file or directory"),
        (["trace", "--include", "a[", "-c", "1"], "invalid pattern \"a[\""),
        (["bogus"], "invalid choice: 'bogus'"),
        ([], "required: COMMAND"),
        (["--bogus"], ""),
        (["enable", "now"], "unrecognized arguments: now"),
    ],
)
def test_a_wrong_use_is_one_line_and_status_2(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = monitrace(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("monitrace: error: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_no_free_tool_id_is_one_line(tmp_path: Path) -> None:
    source = (
        "import sys\n"
        "monitoring = __import__('monitrace').install()\n"
        "for i in range(6): monitoring.use_tool_id(i, f'tool{i}')\n"
        "from monitrace._cli import main\n"
        "sys.exit(main(['trace', '-c', 'print(1)']))\n"
    )
    done = python("-c", source, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("monitrace: error: no tool id is free")
    assert "tool0, tool1, tool2, tool3, tool4, tool5" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["trace", "run", "enable", "disable", "status"])
def test_help_has_an_example(tmp_path: Path, command: str) -> None:
    done = monitrace(command, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"example:\n  monitrace {command}" in done.stdout
    assert f"\n    {command} " in monitrace("--help", cwd=tmp_path).stdout


def test_the_version_is_told(tmp_path: Path) -> None:
    expected = python("-c", "import monitrace; print('monitrace', monitrace.__version__)", cwd=tmp_path)
    assert monitrace("--version", cwd=tmp_path).stdout == expected.stdout


def test_importing_changes_nothing(tmp_path: Path) -> None:
    source = (
        "import sys\n"
        "before = set(vars(sys)), sys.excepthook, list(sys.path), sys.gettrace()\n"
        "import monitrace, monitrace._cli\n"
        "print(before == (set(vars(sys)), sys.excepthook, list(sys.path), sys.gettrace()))\n"
    )
    done = python("-c", source, cwd=tmp_path, env=environment(PYTHONWARNINGS="error"))
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_standard_error_may_be_closed(tmp_path: Path) -> None:
    done = python(
        "-c",
        "import os, sys; os.close(2); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])",
        *("-m", "monitrace", "trace", "-o", "report", "-c", "print(1)"),
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert os.path.getsize(tmp_path / "report") > 0
