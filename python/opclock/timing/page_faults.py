"""Counts the page faults of real inference, and measures what one costs."""

from __future__ import annotations

import mmap
import time
from contextlib import suppress

import torch

from opclock.errors import ModelError
from opclock.timing.host_playback import Forward
from opclock.timing.reference import ReferenceRun

COUNT_S = 0.5  # of inferences whose page faults are counted: they differ from one to the next
FRESH_BYTES = 4 << 20  # 1,024 pages of 4 KB: 1 to 3 ms, so that the clock and two calls do not matter


def model_faults(forward: Forward | None, device: str) -> float | None:
    """Count the page faults of one inference in this process, as its memory lies now.

    Op calls that are timed one by one have other page faults: what opclock allocates beside them decides as well where
    the C library finds room. So the model itself is run, before anything else is bound.

    Args:
        forward: calls the model.
        device: that it runs on.

    Returns:
        The median of some runs; None where the kernel does not count them, or the model cannot be run.
    """
    if forward is None or device != "cpu":
        return None
    with suppress(ModelError):
        run = ReferenceRun(forward, device=device)
        seconds = 0.0
        while seconds < COUNT_S:
            seconds += run.block(0)
        return run.reference().process_times[0].faults
    return None


def fault_s() -> float:
    """The wall seconds of one page fault of PyTorch's current threads: the page comes, is written, and goes.

    It is what writing to new memory takes longer than writing there again, and what giving it back takes.
    """
    memory = mmap.mmap(-1, FRESH_BYTES)
    tensor = torch.frombuffer(memory, dtype=torch.uint8)
    start = time.perf_counter()
    tensor.fill_(1)
    first = time.perf_counter()
    tensor.fill_(2)
    again = time.perf_counter()
    del tensor
    before = time.perf_counter()
    memory.close()
    seconds = (first - start) - (again - first) + (time.perf_counter() - before)
    return max(0.0, seconds) / (FRESH_BYTES // mmap.PAGESIZE)
