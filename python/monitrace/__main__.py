"""``python -m monitrace``: the command line."""

import sys

from monitrace._cli import main

if __name__ == "__main__":
    sys.exit(main())
