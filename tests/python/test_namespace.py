"""That `sys.monitoring` before 3.14 is that of CPython 3.14: names, results and errors, to the word.

`namespace_calls.txt` was recorded by CPython 3.14:
`python3.14 namespace_calls.py > namespace_calls.txt`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="3.15 has other words")
def test_every_call_answers_as_on_3_14() -> None:
    command = [sys.executable, str(HERE / "namespace_calls.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == (HERE / "namespace_calls.txt").read_text().splitlines()
