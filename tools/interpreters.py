"""Finds the CPythons to test on, and says what a Rust program needs to embed each.

Owns the choice of interpreters; runs no tests. Standard library only, because the noxfile and
tests import it.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")

# Run by each candidate about itself. A virtual environment's python speaks for its base, and a
# pyenv shim for the interpreter behind it.
_PROBE = """
import json, os, sys, sysconfig
print(json.dumps({
    "executable": getattr(sys, "_base_executable", sys.executable),
    "implementation": sys.implementation.name,
    "release": sys.version_info[:3],
    "final": sys.version_info[3] == "final",
    "version": sys.version,
    "stdlib": os.path.realpath(os.path.dirname(os.__file__)),
    "prefix": sys.base_prefix,
    "library_folder": sysconfig.get_config_var("LIBDIR"),
    "headers": sysconfig.get_path("include"),
    "plain": not (sysconfig.get_config_var("Py_GIL_DISABLED") or hasattr(sys, "gettotalrefcount")),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A CPython that monitrace can be built for and tested on."""

    executable: Path
    release: tuple[int, int, int]
    version: str
    """The whole of `sys.version`."""
    stdlib: str
    """The folder of the standard library, without symbolic links."""
    prefix: Path
    library_folder: Path

    @property
    def embed_env(self) -> Path | None:
        """The shell file of tools/get-python that sets what embedding needs, if it is one of those."""
        file = self.prefix / "embed.env"
        return file if file.exists() else None

    def build_env(self) -> dict[str, str]:
        """What cargo needs in the environment to build for this interpreter."""
        return {"PYO3_PYTHON": str(self.executable)}

    def embed_env_vars(self) -> dict[str, str]:
        """What `cargo test` needs in the environment to run, and to check, this very interpreter.

        Without the library folder the loader would take whichever libpython the system has.
        `embed_env` does the same by other means where that folder holds a C library too.
        """
        env = self.build_env() | {
            "MONITRACE_TEST_PYTHON_VERSION": self.version,
            "MONITRACE_TEST_PYTHON_STDLIB": self.stdlib,
        }
        if self.embed_env is None:
            folders = [str(self.library_folder), os.environ.get("LD_LIBRARY_PATH", "")]
            env["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, folders))
        return env


def _probe(executable: Path, version: str) -> Interpreter | None:
    """The interpreter behind an executable, or None if it is not one that we can use."""
    try:
        run = subprocess.run(
            [executable, "-I", "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        facts = json.loads(run.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None  # Such as a pyenv shim whose version is not switched on.
    usable = (
        facts["implementation"] == "cpython"
        and facts["plain"]
        and facts["final"]
        and "{}.{}".format(*facts["release"]) == version
        # Distributions put headers in a package of their own; without them nothing can be built.
        and Path(facts["headers"], "Python.h").exists()
    )
    if not usable:
        return None
    return Interpreter(
        executable=Path(facts["executable"]),
        release=tuple(facts["release"]),
        version=facts["version"],
        stdlib=facts["stdlib"],
        prefix=Path(facts["prefix"]),
        library_folder=Path(facts["library_folder"]),
    )


def _folders(env: Mapping[str, str]) -> Iterator[Path]:
    """The folders that may hold executables, the most explicitly named first."""
    for entry in filter(None, env.get("MONITRACE_PYTHONS", "").split(os.pathsep)):
        yield Path(entry, "bin")
        yield from sorted(Path(entry).glob("*/bin"))
    pyenv = env.get("PYENV_ROOT") or Path(env.get("HOME", "/"), ".pyenv")
    yield from sorted(Path(pyenv).glob("versions/*/bin"))
    yield from map(Path, filter(None, env.get("PATH", "").split(os.pathsep)))


def find(version: str, env: Mapping[str, str] = os.environ) -> Interpreter | None:
    """The newest usable CPython of a version ("3.11"): in the folders named by MONITRACE_PYTHONS
    (prefixes, or folders of prefixes), in pyenv's versions folder, or on PATH. None if there is none.
    """
    executables = dict.fromkeys(folder / f"python{version}" for folder in _folders(env))
    found = [
        interpreter
        for executable in executables
        if executable.exists() and (interpreter := _probe(executable, version))
    ]
    return max(found, key=lambda interpreter: interpreter.release, default=None)
