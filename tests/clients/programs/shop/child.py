"""What is run in a process of its own."""

import sys


def status(arguments: list[str]) -> int:
    """The status that was asked for."""
    try:
        (first,) = arguments
        return int(first)
    except ValueError:
        return 1


if __name__ == "__main__":
    sys.exit(status(sys.argv[1:]))
