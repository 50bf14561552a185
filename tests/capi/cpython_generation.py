"""Runs CPython 3.14's own tests of event generation on the running interpreter, whatever its version.

Called with the file of those tests and the compiled stand-in for `_testcapi`. Prints what came of each
test as a JSON object. It must never change the tests: only what they import is stood in for.
"""

import importlib.util
import json
import sys
import types
import unittest
from pathlib import Path
from typing import Any

import build
import monitrace

CASE = "TestCApiEventGeneration"


def stand_in(testcapi: types.ModuleType) -> None:
    """Put into sys.modules what the tests import of the package `test`: this version may have no such
    package, or one that lacks half of it."""
    modules: dict[str, dict[str, object]] = {
        "test": {},
        "test.support": {"requires_specialization_ft": lambda function: function},
        "test.support.import_helper": {"import_module": {"_testcapi": testcapi}.__getitem__},
        "test.support.script_helper": {},
        "test.profilee": {"testfunc": None},
    }
    for name, members in modules.items():
        module = sys.modules[name] = types.ModuleType(name)
        vars(module).update(members)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


class Result(unittest.TestResult):
    """What came of each test: "ok", or all that went wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().startTest(test)
        self.outcomes[test.id().rpartition(".")[2]] = "not run to its end"

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().stopTest(test)
        problems = [
            f"{found}\n{text}"
            for found, text in [*self.failures, *self.errors, *self.skipped]
            if found is test or getattr(found, "test_case", None) is test
        ]
        self.outcomes[test.id().rpartition(".")[2]] = "\n".join(problems) or "ok"


def main(tests: str, testcapi: str) -> None:
    """Run the tests and print what came of them."""
    # The folder of the tests is another interpreter's.
    sys.dont_write_bytecode = True
    monitrace.install()
    stand_in(build.load(Path(testcapi)))
    spec: Any = importlib.util.spec_from_file_location("test_monitoring", tests)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    result = Result()
    unittest.defaultTestLoader.loadTestsFromTestCase(getattr(module, CASE)).run(result)
    print(json.dumps(result.outcomes))


if __name__ == "__main__":
    main(*sys.argv[1:])
