"""The command line as a board of a farm runs it: it ends with the board's worker."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the words behind the number of the pipe that the worker holds."""
    from opclock.children.lifeline import end_with_parent

    end_with_parent(int(sys.argv.pop(1)))
    sys.argv[0] = "opclock"
    from opclock.__main__ import main as run

    run()


if __name__ == "__main__":
    main()
