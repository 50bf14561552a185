"""That the benchmark's README shows the newest record, as the benchmark itself shows it."""

import subprocess
import sys
from pathlib import Path

BENCHES = Path(__file__).parents[2] / "benches"


def test_readme_shows_the_newest_record() -> None:
    newest = max(BENCHES.glob("record/*.json"))
    command = [sys.executable, str(BENCHES / "compare.py"), "--show", str(newest)]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    readme = (BENCHES / "README.md").read_text()
    assert f"record/{newest.name}" in readme
    assert table in readme
