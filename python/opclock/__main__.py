"""``python -m opclock`` is the same as ``opclock``."""

from opclock.cli.main import main

main()
