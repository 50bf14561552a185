"""Installs monitrace at the start of Python if ``MONITRACE_INSTALL`` is 1.

The same as ``monitrace_startup.pth``, for 3.15 and later, which take the name of a function. It
must do nothing but one look at the environment when the variable is not set.
"""

import os


def start():
    if os.environ.get("MONITRACE_INSTALL") == "1":
        import monitrace

        monitrace.install()
