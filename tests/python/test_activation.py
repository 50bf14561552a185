"""Start-up: `MONITRACE_INSTALL`, and `enable`, `disable`, `status` in a virtual environment."""

import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest
from command import environment, monitrace, needs_startup_files, python

INSTALLED = "import sys; print('monitrace._native' in sys.modules and hasattr(sys, 'monitoring'))"


class Environment:
    """A virtual environment with a copy of the package that is tested."""

    def __init__(self, folder: Path) -> None:
        # Linked: a copy of some builds does not find its libraries.
        venv.create(folder, symlinks=True)
        self.folder = folder
        self.python = folder / "bin" / "python"
        purelib = self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
        self.packages = Path(purelib)

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, *arguments],
            cwd=self.folder,
            env=environment() if env is None else env,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    def files(self) -> set[str]:
        return {path.name for path in self.packages.iterdir() if path.name != "__pycache__"}


@pytest.fixture(scope="module")
def package() -> Path:
    import monitrace

    assert monitrace.__file__ is not None
    return Path(monitrace.__file__).parent


@pytest.fixture
def fresh(tmp_path: Path, package: Path) -> Environment:
    made = Environment(tmp_path / "env")
    shutil.copytree(package, made.packages / "monitrace")
    return made


def test_enable_and_disable(fresh: Environment) -> None:
    before = fresh.files()
    assert fresh.run("-c", INSTALLED).stdout == "False\n"
    assert "installed at start-up: no\n" in fresh.run("-m", "monitrace", "status").stdout

    for _ in range(2):
        done = fresh.run("-m", "monitrace", "enable")
        assert (done.returncode, done.stderr) == (0, "")
        assert str(fresh.folder) in done.stdout
    assert (
        "installed at start-up: yes, by monitrace enable\n" in fresh.run("-m", "monitrace", "status").stdout
    )
    done = fresh.run("-W", "error", "-X", "dev", "-c", INSTALLED)
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert fresh.run("-S", "-c", INSTALLED).stdout == "False\n"

    for _ in range(2):
        done = fresh.run("-m", "monitrace", "disable")
        assert (done.returncode, done.stderr) == (0, "")
    assert fresh.files() == before
    assert fresh.run("-c", INSTALLED).stdout == "False\n"


@pytest.mark.parametrize("leave_folder", [False, True])
def test_enable_does_nothing_once_the_package_is_gone(fresh: Environment, *, leave_folder: bool) -> None:
    fresh.run("-m", "monitrace", "enable")
    shutil.rmtree(fresh.packages / "monitrace")
    if leave_folder:
        (fresh.packages / "monitrace" / "__pycache__").mkdir(parents=True)
    done = fresh.run("-W", "error", "-c", "print(1)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_a_program_is_the_same_in_an_enabled_environment(fresh: Environment) -> None:
    fresh.run("-m", "monitrace", "enable")
    (fresh.folder / "program.py").write_text("import sys\nprint(sys.argv, sys.path[0])\nsys.exit(3)\n")
    enabled = fresh.run("program.py", "a")
    fresh.run("-m", "monitrace", "disable")
    plain = fresh.run("program.py", "a")
    assert (enabled.returncode, enabled.stdout, enabled.stderr) == (3, plain.stdout, plain.stderr)


def test_outside_of_an_environment_it_refuses(tmp_path: Path, package: Path) -> None:
    base = getattr(sys, "_base_executable", sys.executable)
    env = environment(PYTHONPATH=str(package.parent))
    for command in ("enable", "disable"):
        done = subprocess.run(
            [base, "-m", "monitrace", command],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("monitrace: error: ")
        assert done.stderr.endswith("is no virtual environment\n")


@needs_startup_files
def test_the_variable_installs_and_nothing_else_does(tmp_path: Path) -> None:
    for value, expected in (("1", "True\n"), ("0", "False\n"), ("", "False\n")):
        done = python("-W", "error", "-c", INSTALLED, cwd=tmp_path, env=environment(MONITRACE_INSTALL=value))
        assert (done.stdout, done.stderr) == (expected, "")
    done = python(
        "-c", "import sys; print([m for m in sys.modules if m.startswith('monitrace.')])", cwd=tmp_path
    )
    assert done.stdout == "[]\n"
    status = monitrace("status", cwd=tmp_path, env=environment(MONITRACE_INSTALL="1"))
    assert "installed at start-up: yes, by MONITRACE_INSTALL=1\n" in status.stdout


@needs_startup_files
def test_the_startup_files_of_all_versions_are_there() -> None:
    packages = Path(sysconfig.get_path("purelib"))
    source = Path(__file__).parents[2] / "data" / "purelib"
    for file in source.iterdir():
        if file.is_file():
            assert (packages / file.name).read_bytes() == file.read_bytes()
    pth = (packages / "monitrace_startup.pth").read_text().splitlines()
    assert [line.split(";")[0] for line in pth] == ["import os"]
    assert not (packages / "monitrace.pth").exists()
