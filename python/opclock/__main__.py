"""The command ``opclock``, and ``python -m opclock``: what belongs to its process, from the first import to the end."""

import sys


def main() -> None:
    """Run the command line. Ctrl-C is one line also while it is being imported."""
    try:
        from opclock.cli.main import main as run
        from opclock.models.output import shorten_tracebacks

        shorten_tracebacks()
        run()
    except KeyboardInterrupt:  # before the command line could handle it
        sys.stderr.write("opclock: interrupted; nothing was stored\n")
        sys.exit(130)
    except SystemExit as end:
        from opclock.models.output import leave_threads

        leave_threads(end.code)
        raise


if __name__ == "__main__":
    main()
