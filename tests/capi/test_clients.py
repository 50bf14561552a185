"""What the tools that people use make of code-likes, unmodified: clients.py runs them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import build
import pytest

# Lines 3 and 5 are not run.
RULES = """def price(age):
    if age < 18:
        price = 3
    if age > 100:
        price = 0
    price = 5
    return price
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build.compile_module(build.HERE / "producer.c", tmp_path_factory.mktemp("clients"))


def client(name: str, module: Path, folder: Path) -> Any:
    """What a client says of the rules."""
    rules = folder / "shop.rules"
    rules.write_text(RULES)
    command = [sys.executable, str(build.HERE / "clients.py"), name, str(module), str(rules)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_coverage_tells_executed_and_missed_lines(module: Path, tmp_path: Path) -> None:
    # The line of `def` is the module's, which nobody runs.
    assert client("coverage_lines", module, tmp_path) == {
        "core": "SysMonitor",
        "executed_lines": [2, 4, 6, 7],
        "missing_lines": [1, 3, 5],
    }


@pytest.mark.skipif(sys.version_info < (3, 14), reason="coverage.py's sysmon core has no branches before")
def test_coverage_tells_executed_and_missed_branches(module: Path, tmp_path: Path) -> None:
    assert client("coverage_branches", module, tmp_path) == {
        "core": "SysMonitor",
        "executed_lines": [2, 4, 6, 7],
        "missing_lines": [1, 3, 5],
        "executed_branches": [[2, 4], [4, 6]],
        "missing_branches": [[2, 3], [4, 5]],
    }


@pytest.mark.skipif(sys.version_info < (3, 14), reason="bdb has no backend over sys.monitoring before")
def test_bdb_debugs_it(module: Path, tmp_path: Path) -> None:
    assert client("bdb_lines", module, tmp_path) == {"local": True, "lines": [1, 2, 3, 4, 5, 6, 7]}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="line_profiler is built for sys.settrace before")
def test_line_profiler_counts_lines(module: Path, tmp_path: Path) -> None:
    hits = client("line_profiler_hits", module, tmp_path)
    if sys.version_info < (3, 13):
        # It takes no function that is not Python's there, and still looks at each code-like that returns.
        assert hits == []
    else:
        assert hits == [["shop.price", 1, [[2, 4], [4, 4], [6, 4], [7, 4]]]]


def test_hypothesis_sees_lines(module: Path, tmp_path: Path) -> None:
    assert client("hypothesis_branches", module, tmp_path) == [2, 4, 6, 7]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="cProfile uses sys.setprofile before")
def test_cprofile_counts_calls(module: Path, tmp_path: Path) -> None:
    assert client("cprofile_calls", module, tmp_path) == [[1, "price", 4]]
