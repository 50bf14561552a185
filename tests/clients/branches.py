"""coverage.py's command line, **patched** to measure branches over `sys.monitoring` before 3.14.

It looks at the version, not at the events. `PYBEHAVIOR.branch_right_left` is all that is changed.
"""

import sys

from coverage import env
from coverage.cmdline import main

env.PYBEHAVIOR.branch_right_left = True
sys.exit(main())
