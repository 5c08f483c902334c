"""Starts `server.py` in the environment of a side. It is run as a file beside a link to this opclock.

So both sides measure with the same code, whether or not the environment has an opclock of its own.
"""

if __name__ == "__main__":
    from opclock.gating.server import main

    main()
