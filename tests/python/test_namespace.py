"""That `sys.monitoring` on 3.11 is that of CPython 3.14: names, results and errors, to the word.

`namespace_calls.txt` was recorded by CPython 3.14:
`python3.14 namespace_calls.py > namespace_calls.txt`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(
    sys.version_info[:2] in ((3, 12), (3, 13), (3, 15)),
    reason="the native one of that version has other ids or words",
)
def test_every_call_answers_as_on_3_14() -> None:
    command = [sys.executable, str(HERE / "namespace_calls.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == (HERE / "namespace_calls.txt").read_text().splitlines()
