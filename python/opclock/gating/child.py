"""Starts `server.py` in the environment of a side. It is run as a file beside a link to this opclock.

So both sides measure with the same code, whether or not the environment has an opclock of its own.
"""

import importlib.util
import sys

NEEDED = ("torch", "numpy", "scipy", "psutil")

if __name__ == "__main__":
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if sys.version_info < (3, 11):  # noqa: UP036 - of an environment that need not have opclock
        sys.exit(f"it is Python {sys.version.split()[0]}, and opclock needs 3.11")
    if missing:
        sys.exit(f"it lacks {', '.join(missing)}: pip install {' '.join(missing)} there")
    from opclock.gating.server import main

    main()
