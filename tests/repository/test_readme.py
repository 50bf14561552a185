"""That the README shows what its command really prints."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the README shows the report of Python 3.11")
def test_report_of_the_quick_start() -> None:
    shown = re.search(r"^```text\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert shown
    command = [sys.executable, "-m", "monitrace", "trace", "examples/python/quickstart.py"]
    env = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    printed = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert printed.stdout + printed.stderr == shown[1]


def test_the_example_of_use_runs() -> None:
    example = re.search(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert example
    program = example[1] + "\ndef function():\n    return 1\n\nfunction()\n"
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "function " in printed.stdout
