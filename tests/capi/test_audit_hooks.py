"""Audit hooks that use the C API, and install, while monitrace looks into the interpreter."""

import json
import os
import subprocess
import sys
from pathlib import Path

import build
import monitrace
import pytest

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="3.11 has no callbacks of its own to look for"
)

# A hook is mute, but for those that ask not to be; a thread that it waits for is not.
PROGRAM = """
import json, sys, threading
import build, monitrace
from scopes import FUNCTIONS, CodeLike, Scope

producer = build.load(build.Path(sys.argv[1]))
by_name = {function.name: function for function in FUNCTIONS}
said = {"installed": [], "depth": 0, "ends": []}
depth = 0

def work():
    scope = Scope(producer, "CALL", "C_RETURN")
    scope.enter()
    scope.fire(by_name["fire_call"])
    scope.fire(by_name["fire_c_return"])
    try:
        monitrace.install()
    except ImportError as error:
        said["installed"].append(str(error))

def audit(event, arguments):
    global depth
    if event == "sys.monitoring.register_callback" and threading.current_thread() is threading.main_thread():
        depth += 1
        said["depth"] = max(depth, said["depth"])
        work()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        depth -= 1

audit.__cantrace__ = True

def end(code, *arguments):
    if isinstance(code, CodeLike):
        said["ends"].append([repr(argument) for argument in arguments])

early = sys.version_info >= (3, 13)
if early:
    monitrace.install()
m = sys.monitoring
m.use_tool_id(2, "test")
m.set_events(2, m.events.CALL)
sys.addaudithook(audit)
monitrace.install()
m.register_callback(2, m.events.C_RETURN, end)
said["ends"].clear()
said["nested"] = len(said["installed"])
work()
print(json.dumps(said))
"""


def test_hooks_use_what_is_being_set_up(tmp_path: Path) -> None:
    module = build.compile_module(build.HERE / "producer.c", tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(module)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{build.HERE}:{Path(monitrace.__file__).parents[1]}"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["ends"] == [["8", "<built-in function len>", "'argument'"]]
    # The search is not begun again within itself; its own changes are one level below the program's.
    assert said["depth"] == (2 if sys.version_info >= (3, 13) else 1)
    words = "monitrace is being set up already, by another thread or around this audit hook"
    assert set(said["installed"]) == (set() if sys.version_info >= (3, 13) else {words})
    assert (said["nested"] > 0) == (sys.version_info < (3, 13))
