"""What the tests of examples have in common: the commands of a README, and a package that it installs.

It must never write into the examples' folders.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import command

ROOT = Path(__file__).parents[2]


def commands(folder: Path) -> list[tuple[str, str]]:
    """Each command of the README, with the output that it shows."""
    block = r"^```sh\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?"
    return re.findall(block, (folder / "README.md").read_text(), re.DOTALL | re.MULTILINE)


def install(folder: Path, target: Path) -> None:
    """Install a package in Rust into a folder, as its README's first command does into an environment."""
    assert commands(folder)[0] == ("python -m pip install .\n", "")
    env = command.environment(
        # Of all that it is made of, little is built again for another version of Python.
        CARGO_TARGET_DIR=os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target/examples")),
        MATURIN_PEP517_ARGS="--locked --profile dev",
    )
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", f"--target={target}")
    pip = [sys.executable, "-m", "pip", "install", *options, "."]
    done = subprocess.run(pip, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def shell(line: str, folder: Path, *, status: int = 0, **changes: str) -> str:
    """What a command prints that ends with this status, in a shell whose python is this one."""
    done = subprocess.run(
        ["sh", "-c", f'python() {{ "{sys.executable}" "$@"; }}\n{line}'],
        cwd=folder,
        env=command.environment(**changes),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def path(package: Path) -> str:
    """The PYTHONPATH on which an installed package is, too."""
    return os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])
