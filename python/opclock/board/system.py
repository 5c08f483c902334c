"""Functions that only some operating systems support. Elsewhere they return the nearest answer or raise."""

from __future__ import annotations

import os
from collections.abc import Iterable

from opclock.errors import OptionError


def allowed_cores() -> tuple[int, ...]:
    """The numbers of the cores this process may use; all cores where the system has no affinity (macOS, Windows)."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def pin_to(cores: Iterable[int]) -> None:
    """Bind this process, and the threads it starts from now on, to these cores.

    Args:
        cores: their numbers.

    Raises:
        OptionError: this system does not support it.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise OptionError("--cpus: this system does not let a process choose its cores; measure on a Linux board")
    os.sched_setaffinity(0, set(cores))
