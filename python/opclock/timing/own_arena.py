"""Keeps memory that is not the model's out of the heap from which the model's op calls take theirs."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

M_TOP_PAD = -2  # of glibc's <malloc.h>
DEFAULT_TOP_PAD = 128 << 10  # bytes


def fix_thresholds() -> None:
    """Keep the C library's thresholds for large blocks as they are now, where it is glibc.

    It raises them with the largest block that was ever freed, and with them the memory that it does not give back.
    Checking op calls frees larger blocks than the model. To set any of its settings ends that (mallopt(3)); this one is
    set to what it is. A user's own settings have ended it already.
    """
    settings = "MALLOC_" in "".join(os.environ) or "malloc" in os.environ.get("GLIBC_TUNABLES", "")
    libc = ctypes.CDLL(None)
    if not settings and hasattr(libc, "mallopt"):
        libc.mallopt(M_TOP_PAD, DEFAULT_TOP_PAD)


def in_own_arena(make: Callable[[], Result]) -> Result:
    """Call a function in a thread of its own, and return its result.

    The C library gives each thread an arena to allocate from, and memory goes back to the arena it came from. Binding
    and checking op calls in the main thread left 60 MB of holes in its heap, into which a model's outputs fit without
    page faults (``docs/method.md``, several processes).

    Args:
        make: makes what lives longer than this call. Settings of the calling thread, such as autocast, do not hold in
            it.

    Returns:
        What it returns.

    Raises:
        Exception: what it raises.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(make).result()
