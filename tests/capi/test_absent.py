"""What monitrace.h does where the package cannot be imported, and once it can."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import build
import monitrace
import pytest

# Where the package is, for processes that get nothing from the environment.
PACKAGES = str(Path(monitrace.__file__).parents[1])
NATIVE = sys.version_info >= (3, 13)

# `hide` and `show` change what an import of the package gives; the header looks for `monitrace._native`.
PRELUDE = """
import importlib.util, json, sys

def load(path):
    spec = importlib.util.spec_from_file_location("producer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

class Finder:
    def __init__(self, error):
        self.error = error
        self.asked = 0
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] != "monitrace":
            return None
        self.asked += 1
        raise self.error

def hide(error=None):
    finder = Finder(error or ModuleNotFoundError("No module named 'monitrace'", name="monitrace"))
    sys.meta_path.insert(0, finder)
    return finder

def show(finder):
    sys.meta_path.remove(finder)

def attempt(function, *arguments):
    try:
        function(*arguments)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "ok"

PLACES = "py_start py_resume py_throw raise c_raise reraise exception_handled py_unwind".split()
VALUES = {"fire_call": (None, None), "fire_line": (1,), **{f"fire_{place}": () for place in PLACES}}

producer = load(sys.argv[1])
NULL = producer.NULL
ids = bytes([producer.IDS["PY_START"]])
said = {}
"""


@pytest.fixture(scope="module")
def producer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build.compile_module(build.HERE / "producer.c", tmp_path_factory.mktemp("producer"))


def run(producer: Path, code: str) -> dict[str, Any]:
    """What the code says, in a process that has not imported the package yet."""
    done = subprocess.run(
        # Isolated, so that nothing of the environment imports it.
        [sys.executable, "-I", "-c", f"{PRELUDE}{code}\nprint(json.dumps(said))", str(producer), PACKAGES],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_scopes_are_inactive_or_native(producer: Path) -> None:
    said = run(
        producer,
        """
finder = hide()
told = []
class CodeLike: pass
code = CodeLike()
if hasattr(sys, "monitoring"):
    m = sys.monitoring
    m.use_tool_id(2, "test")
    m.register_callback(2, m.events.PY_START, lambda where, *_: told.append(where is code))
    m.set_events(2, m.events.PY_START)
scope = producer.new_scope(ids)
for _ in range(3):
    producer.enter(scope, "", NULL)
    producer.fire_py_start(scope, 0, code, 8, NULL)
    producer.leave()
if hasattr(sys, "monitoring"):
    m.set_events(2, 0)
said["told"] = told.count(True)
said["active"] = list(producer.active(scope))
said["asked"] = finder.asked
""",
    )
    assert said == {"told": 3 if NATIVE else 0, "active": [4 if NATIVE else 0], "asked": 1}


@pytest.mark.skipif(not NATIVE, reason="before 3.13 nobody fills a scope without the package")
def test_interpreter_is_asked_for_the_events_that_it_keeps(producer: Path) -> None:
    said = run(
        producer,
        """
finder = hide()
m, names = sys.monitoring, ("CALL", "C_RETURN", "C_RAISE", "BRANCH", "BRANCH_LEFT", "BRANCH_RIGHT", "LINE")
for tool, event in ((1, "CALL"), (3, "BRANCH")):
    m.use_tool_id(tool, "test")
    m.set_events(tool, getattr(m.events, event))
scope = producer.new_scope(bytes(producer.IDS[name] for name in names))
for round in range(2):
    producer.enter(scope, "", NULL)
    said[f"active {round}"] = list(producer.active(scope))
    producer.set_active(scope, 0, 0x55)
m.set_events(1, 0)
producer.enter(scope, "", NULL)
said["changed"] = list(producer.active(scope))
said["unknown"] = attempt(producer.enter, producer.new_scope(bytes([0, 19])), "", NULL)
show(finder)
sys.path.insert(0, sys.argv[2])
import monitrace
producer.enter(scope, "", NULL)
said["known"] = list(producer.active(scope))
m.set_events(3, 0)
producer.enter(scope, "", NULL)
said["at last"] = list(producer.active(scope))
""",
    )
    calls, branches = [2, 2, 2], [8, 8, 8]
    assert said == {
        "active 0": [*calls, *branches, 0],
        # An unchanged version leaves all as it is.
        "active 1": [0x55, *calls[1:], *branches, 0],
        "changed": [0, 0, 0, *branches, 0],
        "unknown": "ValueError: invalid event type 19",
        "known": [0, 0, 0, *branches, 0],
        "at last": [0] * 7,
    }


def test_events_of_inactive_scopes_are_nothing(producer: Path) -> None:
    said = run(
        producer,
        """
hide()
scope = producer.new_scope(ids)
# Before it was ever entered, and after.
for round in range(2):
    for name in sorted(dir(producer)):
        if name.startswith("fire_"):
            values = VALUES.get(name, (None,))
            said[f"{name} {round}"] = attempt(getattr(producer, name), scope, 0, None, 0, NULL, *values)
            said[f"{name} {round} NULL"] = attempt(
                getattr(producer, name), scope, NULL, None, 0, NULL, *values)
    producer.enter(scope, "", NULL)
""",
    )
    assert len(said) == 2 * 2 * 18
    assert {outcome for call, outcome in said.items() if not call.endswith("NULL")} == {"ok"}
    refused = {outcome for call, outcome in said.items() if call.endswith("NULL")}
    assert refused == {"ValueError: state must not be NULL"}


def test_current_exception_survives_the_look(producer: Path) -> None:
    # The module compares the exception that is current after the call.
    said = run(
        producer,
        """
finder = hide()
said["entered"] = attempt(producer.enter, producer.new_scope(ids), "", KeyError("current"))
said["asked"] = finder.asked
""",
    )
    assert said == {"entered": "ok", "asked": 1}


@pytest.mark.parametrize("error", ["ImportError", "RuntimeError", "KeyboardInterrupt", "MemoryError"])
def test_other_error_is_told_and_the_package_looked_for_again(producer: Path, error: str) -> None:
    said = run(
        producer,
        f"""
finder = hide({error}("broken"))
scope = producer.new_scope(ids)
producer.set_active(scope, 0, 0xff)
said["first"] = attempt(producer.enter, scope, "", NULL)
said["active"] = list(producer.active(scope))
said["version"] = producer.version(scope)
said["current"] = attempt(producer.enter, scope, "", KeyError("current"))
said["asked"] = finder.asked
show(finder)
hide()
said["then"] = attempt(producer.enter, scope, "", NULL)
""",
    )
    assert said == {
        "first": f"{error}: broken",
        "active": [0],
        "version": 0,
        "current": f"{error}: broken",
        "asked": 2,
        "then": "ok",
    }


def test_import_at_once_says_why_not(producer: Path) -> None:
    said = run(
        producer,
        """
finder = hide()
said["first"] = attempt(producer.import_table)
said["again"] = attempt(producer.import_table)
producer.enter(producer.new_scope(ids), "", NULL)
said["entered"] = attempt(producer.import_table)
show(finder)
hide(ImportError("broken"))
said["broken"] = attempt(producer.import_table)
""",
    )
    missing = "ModuleNotFoundError: No module named 'monitrace'"
    assert said == {"first": missing, "again": missing, "entered": missing, "broken": "ImportError: broken"}


@pytest.mark.parametrize("table", ["version", "size", "capsule", "nothing"])
def test_package_that_does_not_fit_is_an_import_error(producer: Path, table: str) -> None:
    said = run(
        producer,
        f"""
import ctypes, types
what = {table!r}
api = ctypes.create_string_buffer(400)
version, size = (2 if what == "version" else 1), (8 if what == "size" else 400)
ctypes.memmove(api, version.to_bytes(4, sys.byteorder) + size.to_bytes(4, sys.byteorder), 8)
new = ctypes.pythonapi.PyCapsule_New
new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
name = b"another" if what == "capsule" else b"monitrace._native._C_API"
native = types.ModuleType("monitrace._native")
if what != "nothing":
    native._C_API = new(ctypes.addressof(api), name, None)
sys.modules["monitrace"] = types.ModuleType("monitrace")
sys.modules["monitrace._native"] = sys.modules["monitrace"]._native = native
said["entered"] = attempt(producer.enter, producer.new_scope(ids), "", NULL)
said["imported"] = attempt(producer.import_table)
""",
    )
    kind, words = {
        "version": (
            "ImportError",
            "was built with a monitrace.h that the installed monitrace does not serve",
        ),
        "size": ("ImportError", "was built with a monitrace.h that the installed monitrace does not serve"),
        "capsule": ("ValueError", "PyCapsule_GetPointer called with incorrect name"),
        "nothing": ("AttributeError", "_C_API"),
    }[table]
    for outcome in said.values():
        assert outcome.startswith(f"{kind}: ")
        assert words in outcome
    assert len(said) == 2


def test_package_that_comes_later_wakes_scopes(producer: Path) -> None:
    said = run(
        producer,
        """
finder = hide()
scope = producer.new_scope(ids)
producer.enter(scope, "", NULL)
said["before"] = list(producer.active(scope))
show(finder)
sys.path.insert(0, sys.argv[2])
import monitrace
m = monitrace.install()
told = []
class CodeLike: pass
code = CodeLike()
m.use_tool_id(2, "test")
m.register_callback(2, m.events.PY_START, lambda where, *_: told.append(where is code))
m.set_events(2, m.events.PY_START)
producer.enter(scope, "", NULL)
producer.fire_py_start(scope, 0, code, 8, NULL)
said["after"] = list(producer.active(scope))
# No native state ends like this: the table is in use.
said["refused"] = attempt(producer.fire_py_start, scope, 0, code, -1, NULL)
m.set_events(2, 0)
said["told"] = told.count(True)
said["imported"] = attempt(producer.import_table)
""",
    )
    assert said == {
        "before": [0],
        "after": [4],
        "refused": "ValueError: offset must be non-negative",
        "told": 1,
        "imported": "ok",
    }
