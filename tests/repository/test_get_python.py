"""What tools/get-python refuses, before it fetches anything."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def get_python(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "tools/get-python", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_folder_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    run = get_python("3.14", tmp_path)
    assert run.returncode == 1
    assert "neither empty nor made by get-python" in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert (tmp_path / "thesis.txt").read_text() == "all of it"


def test_folder_name_that_linkers_would_split_is_refused(tmp_path: Path) -> None:
    run = get_python("3.14", tmp_path / "two words")
    assert run.returncode == 1
    assert "space or quote" in run.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [(), ("3.14",), ("latest", "x"), ("3.14", "x", "y")])
def test_wrong_arguments_get_the_usage(arguments: tuple[str, ...]) -> None:
    run = get_python(*arguments)
    assert run.returncode == 1
    assert run.stderr.startswith("usage: get-python VERSION PREFIX")
