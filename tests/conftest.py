"""Lets the tests import the modules beside them, which pytest's importlib mode does not."""

import sys
from pathlib import Path

sys.path[:0] = [str(folder) for folder in Path(__file__).parent.iterdir() if folder.is_dir()]
