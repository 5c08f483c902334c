"""How much longer memory takes to read where its pages lie in pieces."""

from __future__ import annotations

import mmap
import os
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

READ_BYTES = 64 << 20  # more than the caches of a core hold
LINE = 64  # bytes that come from memory together
REPEATS = 9
TUNABLE = "glibc.malloc.hugetlb"
LARGE_VALUES = ("1", "2")  # its values for which glibc takes large pages
PAGE_KIB = mmap.PAGESIZE >> 10
NEEDED_BYTES = 3 * READ_BYTES  # of memory that must be free: both blocks, and room for large pages

Bytes = npt.NDArray[np.uint8]


def asks_for_large_pages() -> bool:
    """Whether the C library takes large pages for this process, by its environment."""
    settings = dict(one.split("=", 1) for one in os.environ.get("GLIBC_TUNABLES", "").split(":") if "=" in one)
    return settings.get(TUNABLE, "0") in LARGE_VALUES


def small_over_large() -> float | None:
    """Read one block of memory in new small pages and one in large pages in turn.

    Returns:
        The median seconds of the first over those of the second; None where the kernel gives or shows no large
        pages.
    """
    if sys.platform != "linux":
        return None
    try:
        small, before = _block(mmap.MADV_NOHUGEPAGE), _large_bytes()
        large = _block(mmap.MADV_HUGEPAGE)
        if _large_bytes() - before < READ_BYTES // 2:
            return None
    except OSError:  # this kernel knows no such advice, or does not show its pages
        return None
    seconds = np.array([(_read_s(small), _read_s(large)) for _ in range(REPEATS + 1)])[1:]  # the first fills the caches
    first_s, second_s = np.median(seconds, axis=0)
    return float(first_s / second_s)


def _block(advice: int) -> Bytes:
    """Memory that is written once, with this advice to the kernel about its pages."""
    mapping = mmap.mmap(-1, READ_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    mapping.madvise(advice)
    block = np.frombuffer(mapping, dtype=np.uint8)
    block.fill(1)
    return block


def _large_bytes(path: Path = Path("/proc/self/smaps_rollup")) -> int:
    """Bytes of this process in large pages."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("AnonHugePages:"):
            return int(line.split()[1]) << 10
    return 0


def _read_s(block: Bytes) -> float:
    start_s = time.perf_counter()
    block.view(np.uint64)[:: LINE // 8].sum()
    return time.perf_counter() - start_s
