"""How tools/interpreters.py chooses, with shell scripts that answer as interpreters would."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import interpreters  # noqa: E402


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment in which no interpreter of this machine can be found."""
    return {"HOME": str(tmp_path / "home"), "PATH": ""}


def make(prefix: Path, release: tuple[int, int, int], *, headers: bool = True, **facts: Any) -> Path:
    """An installed interpreter of that release that only answers the probe."""
    executable = prefix / "bin" / "python{}.{}".format(*release)
    executable.parent.mkdir(parents=True)
    (prefix / "include").mkdir()
    if headers:
        (prefix / "include/Python.h").touch()
    answer = {
        "executable": str(executable),
        "implementation": "cpython",
        "release": release,
        "final": True,
        "version": "{}.{}.{} (of a test)".format(*release),
        "stdlib": str(prefix / "lib"),
        "prefix": str(prefix),
        "library_folder": str(prefix / "lib"),
        "headers": str(prefix / "include"),
        "plain": True,
    } | facts
    executable.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    executable.chmod(0o755)
    return executable


def found(version: str, env: dict[str, str]) -> Path | None:
    interpreter = interpreters.find(version, env)
    return interpreter.executable if interpreter else None


def test_nothing_is_found_where_nothing_is(env: dict[str, str]) -> None:
    assert found("3.12", env) is None


def test_the_running_interpreter_is_found(env: dict[str, str]) -> None:
    version = "{}.{}".format(*sys.version_info)
    env["MONITRACE_PYTHONS"] = sys.base_prefix
    interpreter = interpreters.find(version, env)
    assert interpreter is not None
    assert interpreter.version == sys.version
    assert interpreter.stdlib == os.path.realpath(Path(os.__file__).parent)


def test_path_pyenv_and_named_folders_are_searched(env: dict[str, str], tmp_path: Path) -> None:
    on_path = make(tmp_path / "usr", (3, 11, 1))
    in_home = make(tmp_path / "home/.pyenv/versions/3.12.1", (3, 12, 1))
    prefix = make(tmp_path / "opt/one", (3, 13, 1))
    in_folder = make(tmp_path / "many/3.14", (3, 14, 1))
    env["PATH"] = str(on_path.parent)
    env["MONITRACE_PYTHONS"] = os.pathsep.join([str(tmp_path / "opt/one"), str(tmp_path / "many")])
    chosen = [found(version, env) for version in ("3.11", "3.12", "3.13", "3.14")]
    assert chosen == [on_path, in_home, prefix, in_folder]
    env["PYENV_ROOT"] = str(tmp_path / "elsewhere")
    assert found("3.12", env) is None


def test_newest_release_is_taken(env: dict[str, str], tmp_path: Path) -> None:
    versions = tmp_path / "home/.pyenv/versions"
    make(versions / "3.12.9", (3, 12, 9))
    newest = make(versions / "3.12.10", (3, 12, 10))
    env["PATH"] = str(make(tmp_path / "usr", (3, 12, 2)).parent)
    assert found("3.12", env) == newest


def test_named_folder_wins_a_tie(env: dict[str, str], tmp_path: Path) -> None:
    make(tmp_path / "home/.pyenv/versions/3.12.1", (3, 12, 1))
    named = make(tmp_path / "named", (3, 12, 1))
    env["MONITRACE_PYTHONS"] = str(tmp_path / "named")
    assert found("3.12", env) == named


@pytest.mark.parametrize(
    "unusable",
    [
        {"headers": False},
        {"implementation": "pypy"},
        {"plain": False},
        {"final": False},
    ],
    ids=["no headers", "other implementation", "free-threaded or debug", "pre-release"],
)
def test_unusable_interpreters_are_passed_over(
    unusable: dict[str, Any], env: dict[str, str], tmp_path: Path
) -> None:
    newer = make(tmp_path / "newer", (3, 11, 9), **unusable)
    older = make(tmp_path / "older", (3, 11, 2))
    env["PATH"] = str(newer.parent)
    assert found("3.11", env) is None
    env["PATH"] = os.pathsep.join([str(newer.parent), str(older.parent)])
    assert found("3.11", env) == older


@pytest.mark.parametrize("script", ["exit 127", "echo pyenv: python3.11: command not found"])
def test_executables_that_do_not_answer_are_passed_over(
    script: str, env: dict[str, str], tmp_path: Path
) -> None:
    shim = tmp_path / "shims/python3.11"
    shim.parent.mkdir()
    shim.write_text(f"#!/bin/sh\n{script}\n")
    shim.chmod(0o755)
    env["PATH"] = str(shim.parent)
    assert found("3.11", env) is None


def test_embedding_gets_the_library_folder_or_the_file_that_says_more(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = tmp_path / "named"
    make(prefix, (3, 14, 1))
    env["MONITRACE_PYTHONS"] = str(prefix)
    interpreter = interpreters.find("3.14", env)
    assert interpreter is not None
    monkeypatch.setenv("LD_LIBRARY_PATH", "/before")
    assert interpreter.embed_env is None
    assert interpreter.embed_env_vars()["LD_LIBRARY_PATH"] == f"{prefix}/lib{os.pathsep}/before"
    (prefix / "embed.env").touch()
    assert interpreter.embed_env == prefix / "embed.env"
    assert "LD_LIBRARY_PATH" not in interpreter.embed_env_vars()
