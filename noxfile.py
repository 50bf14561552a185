"""The one door to everything that is run on this repository: `nox` for the tests, `nox -l` for the rest.

Each session leaves what it ran in target/reports/SESSION/, with an empty file `done` if it came to
its end: .ci/run sums these up.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nox

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "tools"))
from interpreters import VERSIONS, Interpreter, find  # noqa: E402

PYPROJECT = nox.project.load_toml("pyproject.toml")
TARGET = ROOT / "target"
REPORTS = TARGET / "reports"

nox.needs_version = ">=2026.10.20"
nox.options.sessions = ["test"]
nox.options.error_on_missing_interpreters = False
# What is not found is skipped, never fetched: tools/get-python does that where it is wanted.
nox.options.download_python = "never"

INTERPRETERS = {version: interpreter for version in VERSIONS if (interpreter := find(version))}

# nox skips a version of which it finds no interpreter on PATH. At the end, so that no other program
# is taken from these folders; chosen_interpreter() sees to it that the session gets the right one.
os.environ["PATH"] = os.pathsep.join(
    [os.environ["PATH"], *(str(found.executable.parent) for found in INTERPRETERS.values())]
)


@contextmanager
def report(session: nox.Session) -> Iterator[Path]:
    """The folder for what a session leaves behind, marked as done if nothing was raised."""
    folder = REPORTS / session.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    (folder / "done").touch()


def cargo(session: nox.Session, *arguments: str, env: dict[str, str]) -> None:
    session.run("cargo", *arguments, env=env, external=True)


def install_requirements(session: nox.Session, group: str) -> None:
    session.install(*nox.project.dependency_groups(PYPROJECT, group))


def chosen_interpreter(session: nox.Session) -> Interpreter:
    """The interpreter of a session, with the session's environment made from it."""
    interpreter = INTERPRETERS.get(str(session.python))
    if interpreter is None:
        session.skip(f"CPython {session.python} is here, but is no plain release with headers")
    # nox takes the first of that version: the one that it runs on itself, or the first on PATH.
    base = session.run("python", "-c", "import sys; print(sys.version)", silent=True)
    if str(base).strip() != interpreter.version:
        location = session.virtualenv.location
        session.run(str(interpreter.executable), "-m", "venv", "--clear", location, external=True)
    return interpreter


def cargo_test(
    session: nox.Session, *arguments: str, env: dict[str, str], folder: Path, sourced: Path | None = None
) -> bool:
    """Runs `cargo test`, after sourcing a file if there is one to, and keeps what it prints for the
    summary. Whether it passed."""
    # Examples in documentation are programs, too: rustdoc links them.
    source = '[ -z "$1" ] || { . "$1"; export RUSTDOCFLAGS="$RUSTFLAGS"; }'
    script = f'set -o pipefail; {source}; shift; "$@" 2>&1 | tee "$LOG"'
    command = ("cargo", "test", "--locked", *arguments)
    session.log(" ".join(command))
    try:
        session.run(
            *("bash", "-c", script, "bash"),
            str(sourced or ""),
            *command,
            env=env | {"LOG": str(folder / "cargo-test.log")},
            external=True,
            log=False,
        )
    except nox.command.CommandFailed:
        return False
    return True


@nox.session(python=VERSIONS)
def test(session: nox.Session) -> None:
    """Rust and Python tests on each CPython that is found. Arguments after -- go to pytest, which runs as
    many processes as there are processors (-n0: one)."""
    interpreter = chosen_interpreter(session)
    session.log(f"CPython {interpreter.version} from {interpreter.executable}")
    # A target folder for each version: their builds differ in features and flags.
    env = {"CARGO_TARGET_DIR": str(TARGET / f"python{session.python}")}
    with report(session) as folder:
        # Both are run, whatever comes of the first.
        rust_passed = cargo_test(
            session,
            *("--workspace", "--no-fail-fast", "--profile=checked"),
            env=env | interpreter.embed_env_vars(),
            folder=folder,
            sourced=interpreter.embed_env,
        )
        install_requirements(session, "test")
        build = interpreter.build_env() | {"MATURIN_PEP517_ARGS": "--locked --profile checked"}
        session.install(".", env=env | build)
        # What a file builds is built once: all of its tests run in one process.
        spread = ("--numprocesses=auto", "--dist=loadfile")
        session.run("pytest", *spread, f"--junitxml={folder / 'pytest.xml'}", *session.posargs)
        if not rust_passed:
            session.error("Rust tests failed")


@nox.session(python="3.11")
def fuzz(session: nox.Session) -> None:
    """Random programs on 3.11, their events compared with an oracle's. Arguments after -- go to
    tests/fuzz/fuzz.py (--minutes 60, --first SEED, --help)."""
    interpreter = chosen_interpreter(session)
    env = {"CARGO_TARGET_DIR": str(TARGET / f"python{session.python}")} | interpreter.build_env()
    with report(session) as folder:
        session.install(".", env=env | {"MATURIN_PEP517_ARGS": "--locked --profile checked"})
        session.run("python", "tests/fuzz/fuzz.py", f"--keep={folder}", *session.posargs)


MODEL = ("--package=monitrace-core", "--test=loom")
# Every dependency is built with it: a target folder of its own.
MODEL_ENV = {"RUSTFLAGS": "--cfg loom", "CARGO_TARGET_DIR": str(TARGET / "model")}


@nox.session
def model(session: nox.Session) -> None:
    """The engine in every order of its threads' steps. Needs no Python."""
    with report(session) as folder:
        # In release: there are many orders.
        if not cargo_test(session, *MODEL, "--release", env=MODEL_ENV, folder=folder):
            session.error("the model failed")


# Examples that are workspaces of their own.
EXAMPLES = [("--manifest-path", f"examples/{name}/Cargo.toml") for name in ("rhai", "rules")]
EXAMPLES_ENV = {"CARGO_TARGET_DIR": str(TARGET / "examples")}


def lint_interpreters(session: nox.Session) -> dict[str, Interpreter]:
    """The interpreters that between them compile all of the Rust code: 3.11, and one with a
    native sys.monitoring."""
    newer = [version for version in reversed(VERSIONS[1:]) if version in INTERPRETERS]
    chosen = [version for version in (VERSIONS[0], *newer[:1]) if version in INTERPRETERS]
    if len(chosen) < 2:
        session.warn("3.11 and a newer CPython are needed to look at all of the Rust code")
    if not chosen:
        session.error("no CPython was found to build for")
    return {version: INTERPRETERS[version] for version in chosen}


def check_env(version: str, interpreter: Interpreter) -> dict[str, str]:
    """The environment for a build that is only looked at, in a target folder that these share."""
    return interpreter.build_env() | {"CARGO_TARGET_DIR": str(TARGET / f"check{version}")}


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting, lints, types, stubs and licences. Changes nothing."""
    with report(session):
        install_requirements(session, "lint")
        session.run("ruff", "format", "--check")
        session.run("ruff", "check")
        session.run("mypy")
        # Scripts one by one: each is a module called __main__.
        for script in ("tools/get-python", ".ci/summary"):
            session.run("mypy", script)
        cargo(session, "fmt", "--all", "--check", env={})
        for example in EXAMPLES:
            cargo(session, "fmt", *example, "--check", env={})
        for version, interpreter in lint_interpreters(session).items():
            # The crate for producers once more by itself, without the features that others turn on.
            for what in (("--workspace", "--all-targets"), ("--package=monitrace",)):
                clippy = ("clippy", *what, "--locked", "--", "-D", "warnings")
                cargo(session, *clippy, env=check_env(version, interpreter))
        # The same Rust code for all versions, in the target folder of its tests.
        for example in EXAMPLES:
            cargo(session, "clippy", *example, "--locked", "--", "-D", "warnings", env=EXAMPLES_ENV)
        cargo(session, "clippy", *MODEL, "--locked", "--", "-D", "warnings", env=MODEL_ENV)
        check_licences(session)
        # Built exactly as users do, since no other session does so.
        session.install(".")
        session.run("stubtest", "monitrace", "--allowlist", "tests/stubtest-allowlist.txt")


def check_licences(session: nox.Session) -> None:
    """cargo-deny over deny.toml, with the one on PATH or one that is built once."""
    tools = TARGET / "tools"
    deny = shutil.which("cargo-deny", path=os.pathsep.join([str(tools / "bin"), os.environ["PATH"]]))
    if deny is None:
        version = PYPROJECT["tool"]["monitrace"]["cargo-deny"]
        env = {"CARGO_TARGET_DIR": str(tools / "build")}
        cargo(session, "install", "--locked", "--root", str(tools), f"cargo-deny@{version}", env=env)
        shutil.rmtree(tools / "build")
        deny = str(tools / "bin" / "cargo-deny")
    # Not its advisories: they are fetched, and change under unchanged code.
    for manifest in (("--workspace",), *EXAMPLES):
        session.run(deny, *manifest, "check", "bans", "licenses", "sources", external=True)


@nox.session
def docs(session: nox.Session) -> None:
    """The Rust documentation, in target/checkVERSION/doc. Broken links are errors."""
    with report(session):
        for version, interpreter in lint_interpreters(session).items():
            env = check_env(version, interpreter) | {"RUSTDOCFLAGS": "-D warnings"}
            cargo(session, "doc", "--workspace", "--no-deps", "--locked", env=env)


@nox.session
def bench(session: nox.Session) -> None:
    """What monitoring costs: the engine and producers alone, events of C code, switching events on, then
    3.11 with monitrace beside native 3.12 and 3.14. Arguments after -- go to benches/compare.py (--rounds N,
    --quick, --only REGEX, --record FILE, --help); after -- capi or -- switching, that is measured alone, and
    they go to the script of that name."""
    extended = ("3.11", "3.12", "3.13")
    compared = ("3.11", "3.12", "3.14")
    missing = sorted({version for version in (*extended, *compared) if version not in INTERPRETERS})
    if missing:
        session.skip(f"CPython {' and '.join(missing)} not found")
    pythons = {version: INTERPRETERS[version] for version in extended}
    ours = pythons["3.11"]
    loops = ("monitrace-bench-engine", "monitrace-bench-producer")
    alone = session.posargs[0] if session.posargs[:1] in (["capi"], ["switching"]) else ""
    with report(session) as folder:
        for version, python in pythons.items():
            # The profile that users get.
            target = TARGET / f"python{version}"
            env = python.build_env() | {"CARGO_TARGET_DIR": str(target)}
            wanted = loops if python is ours and not alone else ()
            packages = (f"--package={package}" for package in ("monitrace-bench", *wanted))
            cargo(session, "build", "--release", "--locked", *packages, env=env)
            (folder / version).mkdir()
            built = target / "release" / "libmonitrace_bench.so"
            shutil.copy(built, folder / version / "monitrace_bench.so")
            for program in wanted:
                command = ("python", "benches/loops.py", str(target / "release" / program))
                session.run(*command, env=python.embed_env_vars())
        extended_pythons = [str(python.executable) for python in pythons.values()]
        compared_pythons = [str(INTERPRETERS[version].executable) for version in compared]
        ours_built = f"--extension={folder / '3.11'}"
        commands: dict[str, tuple[str, ...]] = {
            "capi": ("benches/capi.py", *extended_pythons, f"--extensions={folder}"),
            "switching": ("benches/switching.py", *compared_pythons, ours_built),
        }
        if alone:
            session.run("python", *commands[alone], *session.posargs[1:])
            return
        quick = [option for option in session.posargs if option == "--quick"]
        for arguments in commands.values():
            session.run("python", *arguments, *quick)
        session.run("python", "benches/compare.py", *compared_pythons, ours_built, *session.posargs)
