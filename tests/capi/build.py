"""Compiles C and C++ with monitrace.h for the running interpreter, with the machine's compiler.

Owns the flags, which make every warning an error. It must never write beside the sources, nor define
what a user of the header would not.
"""

import importlib.machinery
import importlib.util
import os
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import monitrace

HERE = Path(__file__).parent

STANDARDS = {"c": "c99", "c++": "c++11"}
"""The languages, and the oldest standard of each that the header is for."""

# The interpreter's own headers are not on trial: not all of them are pedantic C.
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")


def include() -> str:
    """The folder of the header."""
    return monitrace.get_include()


def compiler(language: str) -> list[str]:
    """The command of the user's choice, else of the interpreter's builder, else the system's."""
    variable, fallback = ("CC", "cc") if language == "c" else ("CXX", "c++")
    if chosen := os.environ.get(variable):
        return shlex.split(chosen)
    # Without the builder's flags: they are for the interpreter's own files, and its program may
    # not be here.
    built_with = shlex.split(str(sysconfig.get_config_var(variable) or ""))[:1]
    return built_with if built_with and shutil.which(built_with[0]) else [fallback]


def compile_source(
    source: Path,
    output: Path,
    *,
    language: str = "c",
    standard: str = "",
    flags: Sequence[str] = (),
    warnings: Sequence[str] = WARNINGS,
) -> subprocess.CompletedProcess[str]:
    """Run the compiler; whether it succeeded is for the caller to see."""
    command = [
        *compiler(language),
        *("-x", language, f"-std={standard or STANDARDS[language]}"),
        *warnings,
        *("-g", "-O1", "-fPIC", f"-I{include()}", "-isystem", sysconfig.get_path("include")),
        *flags,
        *(str(source), "-o", str(output)),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def compile_module(
    source: Path,
    folder: Path,
    *,
    language: str = "c",
    standard: str = "",
    flags: Sequence[str] = (),
    warnings: Sequence[str] = WARNINGS,
) -> Path:
    """Make the extension module that is called as the source is."""
    output = folder / f"{source.stem}{importlib.machinery.EXTENSION_SUFFIXES[0]}"
    done = compile_source(
        source,
        output,
        language=language,
        standard=standard,
        flags=("-shared", *flags),
        warnings=warnings,
    )
    if done.returncode:
        raise RuntimeError(f"{shlex.join(done.args)}\n{done.stderr}")
    return output


def load(path: Path) -> ModuleType:
    """Import an extension module from its file, without a place in sys.modules: two may have one name."""
    spec = importlib.util.spec_from_file_location(path.name.partition(".")[0], path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
