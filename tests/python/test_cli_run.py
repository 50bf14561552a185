"""`monitrace run` and `trace` run programs as `python` does: what it prints, says and returns."""

import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from command import environment, monitrace, python

LOOK_AROUND = """
import pickle, sys
class Picklable: pass
pickle.loads(pickle.dumps(Picklable()))
print(sys.argv, sys.path[0], sys.path.count(sys.path[0]), sys.flags)
print(sorted((name, repr(value).split(" at ")[0]) for name, value in list(globals().items())))
print(sys.modules["__main__"].__dict__ is globals(), __name__)
"""

PROGRAMS = {
    "looks around": LOOK_AROUND,
    "ends": "print(1)",
    "leaves with 0": "import sys; sys.exit()",
    "leaves with a number": "import sys; sys.exit(7)",
    "leaves with words": "import sys; sys.exit('enough')",
    "leaves with true": "import sys; sys.exit(True)",
    "leaves below": "def f():\n    raise SystemExit(3)\nf()",
    "raises": "def f():\n    raise ValueError('no')\nf()",
    "raises from": "try:\n    1/0\nexcept ZeroDivisionError as e:\n    raise KeyError(1) from e",
    "raises a group": "raise ExceptionGroup('some', [ValueError(1), TypeError(2)])",
    "raises what it cannot open": "open('there is no such file')",
    "is no Python": "if True print(1)",
    "has a hook of its own": "import sys\nsys.excepthook = lambda *a: print('caught', a[0], a[2].tb_lineno)\n1/0",
    "is interrupted": "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nfor i in range(10**9): pass",
    "is killed": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nfor i in range(10**9): pass",
    "leaves at once": "import os; os._exit(9)",
    "cleans up": "import atexit\natexit.register(print, 'bye')\nclass D:\n    def __del__(self): print('gone')\nd = D()",
    "has a thread": "import threading, time\nthreading.Thread(target=lambda: (time.sleep(.2), print('thread'))).start()",
    "has a failing thread": "import threading\ndef f(): 1/0\nt = threading.Thread(target=f, name='t')\nt.start(); t.join()",
    "forks": "import os\nif os.fork() == 0:\n    print('child'); raise SystemExit(4)\nprint(os.wait()[1] >> 8)",
    "warns": "import warnings\nwarnings.warn('old', DeprecationWarning)",
    "closes its files": "import os, sys\nos.close(2)\nsys.stdout.write('out')",
    "reads": "print(input.__name__, repr(__import__('sys').stdin.read()))",
}


def same_as_python(*arguments: str, cwd: Path, options: tuple[str, ...] = ()) -> None:
    """Check that both commands do what Python does here: nothing expected is typed in."""
    expected = python(*arguments, cwd=cwd, options=options)
    ran = monitrace("run", *arguments, cwd=cwd, options=options)
    traced = monitrace("trace", "-o", "report", *arguments, cwd=cwd, options=options)
    for done in (ran, traced):
        assert (done.returncode, done.stdout, done.stderr) == (
            expected.returncode,
            expected.stdout,
            expected.stderr,
        )


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_file_runs_as_python_runs_it(tmp_path: Path, program: str) -> None:
    (tmp_path / "program.py").write_text(program)
    same_as_python("program.py", "-x", "--format", "y z", cwd=tmp_path)


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_code_runs_as_python_runs_it(tmp_path: Path, program: str) -> None:
    same_as_python("-c", program, "-m", "-e", "LINE", cwd=tmp_path)


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_module_runs_as_python_runs_it(tmp_path: Path, program: str) -> None:
    (tmp_path / "module.py").write_text(program)
    same_as_python("-m", "module", "-c", "x", cwd=tmp_path)


@pytest.mark.parametrize("name", ["looks around", "raises", "leaves with a number"])
def test_packages_folders_and_archives_run_as_python_runs_them(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for file in ("__main__.py", "__init__.py"):
        (folder / file).write_text(PROGRAMS[name] if file == "__main__.py" else "")
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        archive.write(folder / "__main__.py", "__main__.py")
    same_as_python("-m", "folder", "a", cwd=tmp_path)
    same_as_python("folder", "a", cwd=tmp_path)
    same_as_python("archive", "a", cwd=tmp_path)


def test_names_of_files_are_taken_as_python_takes_them(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    (below / "program.py").write_text(LOOK_AROUND + "print(__file__)")
    (tmp_path / "link.py").symlink_to(below / "program.py")
    (below / "__main__.py").write_text(LOOK_AROUND + "print(__file__)")
    files = ("./below/program.py", "below/../below/program.py", "below//program.py", "link.py")
    folders = ("below/", "./below/.", ".", "..")
    for name in (*files, str(below / "program.py"), *folders):
        same_as_python(name, cwd=below if name in (".", "..") else tmp_path)


@pytest.mark.parametrize("options", [("-P",), ("-O",), ("-X", "dev"), ("-W", "error"), ("-I",), ("-B", "-s")])
def test_options_of_python_hold(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "program.py").write_text(LOOK_AROUND + "assert False")
    same_as_python("program.py", cwd=tmp_path, options=options)
    same_as_python("-c", LOOK_AROUND, cwd=tmp_path, options=options)
    same_as_python(".", cwd=tmp_path, options=options)


def test_source_in_another_encoding_and_compiled_files_run(tmp_path: Path) -> None:
    (tmp_path / "latin.py").write_bytes("# coding: latin-1\nprint('\xe4')".encode("latin-1"))
    same_as_python("latin.py", cwd=tmp_path)
    (tmp_path / "program.py").write_text(LOOK_AROUND + "1/0")
    compiled = python("-m", "compileall", "-qb", "program.py", cwd=tmp_path)
    assert compiled.returncode == 0
    same_as_python("program.pyc", cwd=tmp_path)


@pytest.mark.parametrize("source", ["  print(1)\n  print(2)", "\n  x = 1\n  raise ValueError(x)"])
def test_indented_code_is_taken_as_python_takes_it(tmp_path: Path, source: str) -> None:
    same_as_python("-c", source, cwd=tmp_path)


def test_a_module_that_is_missing_is_told_as_python_tells_it(tmp_path: Path) -> None:
    same_as_python("-m", "there_is_none", cwd=tmp_path)
    (tmp_path / "empty").mkdir()
    same_as_python("empty", cwd=tmp_path)


def test_multiprocessing_finds_the_program_again(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import multiprocessing\n"
        "def double(x): return 2 * x\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(double, [1, 2]))\n"
    )
    same_as_python("program.py", cwd=tmp_path)
    same_as_python("-m", "program", cwd=tmp_path)


@pytest.mark.parametrize("command", [("run",), ("trace", "-o", "report")])
def test_an_interrupted_program_dies_of_the_signal(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "program.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "monitrace", *command, "program.py"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert errors.startswith("Traceback (most recent call last):\n")
    assert "monitrace" not in errors
    assert errors.endswith("KeyboardInterrupt\n")


def test_sys_monitoring_is_there_when_the_program_starts(tmp_path: Path) -> None:
    done = monitrace(
        "run", "-c", "import sys, monitrace; print(monitrace.monitoring is sys.monitoring)", cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (0, "True\n")
