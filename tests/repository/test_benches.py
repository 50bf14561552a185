"""That the benchmark's README shows the newest records, as the benchmark itself shows them."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHES = Path(__file__).parents[2] / "benches"


@pytest.mark.parametrize(
    ("script", "records"),
    [("compare.py", "record"), ("capi.py", "record/capi"), ("switching.py", "record/switching")],
)
def test_readme_shows_the_newest_record(script: str, records: str) -> None:
    newest = max(BENCHES.glob(f"{records}/*.json"))
    command = [sys.executable, str(BENCHES / script), "--show", str(newest)]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    readme = (BENCHES / "README.md").read_text()
    assert f"{records}/{newest.name}" in readme
    assert table in readme
