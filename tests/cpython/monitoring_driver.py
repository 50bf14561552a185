"""Runs CPython 3.14's own tests of sys.monitoring on the running interpreter, whatever its version.

Called with the folder of 3.14's package `test`, the folder of the compiled stand-in for `_testcapi`, the file
to write to and perhaps one class of tests: writes what came of each, as a JSON object. It must never
change the tests: only what this version lacks for them is stood in for.
"""

import importlib
import json
import sys
import types
import unittest
from pathlib import Path

import monitrace

MODULE = "test.test_monitoring"

TURNS = 100
"""How often the tests run what is to be specialised: more than any version asks for."""


def stand_in(tests: str, extensions: str) -> None:
    """Make `test` the given package, and add what it needs of the interpreter that it came with."""
    package = sys.modules["test"] = types.ModuleType("test")
    package.__path__ = [tests]
    sys.path.insert(0, extensions)
    sys.modules["_testcapi"] = importlib.import_module("testcapi")
    # All versions specialise.
    vars(importlib.import_module("_opcode")).setdefault("ENABLE_SPECIALIZATION_FT", True)
    if sys.version_info >= (3, 14):
        return
    internal = sys.modules["_testinternalcapi"] = types.ModuleType("_testinternalcapi")
    vars(internal).update(SPECIALIZATION_THRESHOLD=TURNS, SPECIALIZATION_COOLDOWN=TURNS)
    # `test.support` imports the one and asks the other, no test does.
    sys.modules["annotationlib"] = types.ModuleType("annotationlib")
    vars(sys)["_jit"] = types.SimpleNamespace(is_enabled=bool)


class Result(unittest.TestResult):
    """What came of each test: "ok", or all that went wrong."""

    def __init__(self, monitoring: types.ModuleType) -> None:
        super().__init__()
        self.monitoring = monitoring
        self.outcomes: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().startTest(test)
        self.outcomes[name(test)] = "not run to its end"

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().stopTest(test)
        problems = [
            f"{found}\n{text}"
            for found, text in [*self.failures, *self.errors, *self.skipped]
            if found is test or getattr(found, "test_case", None) is test
        ]
        self.outcomes[name(test)] = "\n".join(problems) or "ok"
        if problems:
            # What it left on would fail all that follow.
            for tool in range(6):
                self.monitoring.free_tool_id(tool)


def name(test: unittest.TestCase) -> str:
    """The test's class and method."""
    return test.id().removeprefix(f"{MODULE}.")


def main(tests: str, extensions: str, report: str, *chosen: str) -> None:
    """Run the tests and write what came of them."""
    # The folder of the tests is another interpreter's.
    sys.dont_write_bytecode = True
    monitoring = monitrace.install()
    stand_in(tests, extensions)
    result = Result(monitoring)
    unittest.defaultTestLoader.loadTestsFromName(".".join((MODULE, *chosen))).run(result)
    Path(report).write_text(json.dumps(result.outcomes))


if __name__ == "__main__":
    main(*sys.argv[1:])
