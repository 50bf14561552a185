"""That the places which list the supported versions of Python agree."""

import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from interpreters import VERSIONS  # noqa: E402


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def test_classifiers_are_the_tested_versions(project: dict[str, Any]) -> None:
    prefix = "Programming Language :: Python :: "
    classifiers = [entry.removeprefix(prefix) for entry in project["classifiers"] if entry.startswith(prefix)]
    assert [version for version in classifiers if version[0].isdigit()] == list(VERSIONS)


def test_oldest_version_is_required(project: dict[str, Any]) -> None:
    assert project["requires-python"] == f">={VERSIONS[0]}"


def test_ci_demands_every_version() -> None:
    script = (ROOT / ".ci/run").read_text()
    assert f"\nversions=({' '.join(VERSIONS)})\n" in script


def test_this_version_is_supported() -> None:
    assert "{}.{}".format(*sys.version_info) in VERSIONS
