"""Cython's own tests of its events pass where the interpreter has no C API for them.

They come with Cython's source, from the package index at test time, in the version that is pinned. Their
C is compiled as it was generated: the header is given to the compiler, not to the code.
"""

import json
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import build
import pytest

FLAGS = (
    # What Cython switches on by itself from 3.13 on.
    "-DCYTHON_USE_SYS_MONITORING=1",
    # What the module asks for in its first lines, which only a whole build would read.
    "-DCYTHON_TRACE_NOGIL=1",
    *("-include", "monitrace.h"),
)

EXAMPLES = 28
"""As many the module has natively, on 3.13: without events it would have one."""

RUN = """
import doctest, json
import monitrace
monitrace.install()
import sys_monitoring
assert sys_monitoring.COMPILED
print(json.dumps(doctest.testmod(sys_monitoring)))
"""


def own_tests(folder: Path) -> Path:
    """The module of tests, out of the source of the Cython that is installed."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    wanted = ["--no-binary=cython", f"cython=={version('cython')}", f"--dest={folder}"]
    subprocess.run([*pip, *wanted], check=True, timeout=300)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        (member,) = (name for name in packed.getnames() if name.endswith("/tests/run/sys_monitoring.py"))
        source = packed.extractfile(member)
        assert source is not None
        file = folder / "sys_monitoring.py"
        file.write_bytes(source.read())
    return file


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="from 3.13 on the interpreter has the C API itself")
def test_own_tests_pass(tmp_path: Path) -> None:
    source = own_tests(tmp_path)
    generated = tmp_path / "sys_monitoring.c"
    subprocess.run([sys.executable, "-m", "cython", str(source), "-o", str(generated)], check=True)
    # Cython's own code is neither pedantic nor C99.
    compiled = tmp_path / "compiled"
    compiled.mkdir()
    build.compile_module(generated, compiled, standard="gnu11", flags=FLAGS, warnings=())
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=compiled,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    *differences, counts = done.stdout.splitlines()
    assert (differences, json.loads(counts)) == ([], [0, EXAMPLES])
