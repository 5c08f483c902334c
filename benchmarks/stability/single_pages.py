"""Makes free memory lie in single pages and short runs of them, until it is ended.

    python -m benchmarks.stability.single_pages --gigabytes 19    # of 24; then measure in another terminal

It takes memory and gives six of seven pages of it back, in random order. What starts afterwards gets such pages: see
docs/method.md, where pages lie. Linux alone.
"""

from __future__ import annotations

import argparse
import mmap
import signal

import numpy as np

KEPT = 0.15  # of the pages: free ones lie in runs of six on average
SEED = 0


def take(nbytes: int) -> mmap.mmap:
    """Memory of which ``KEPT`` is left, in pages all over it."""
    mapping = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    mapping.madvise(mmap.MADV_NOHUGEPAGE)
    np.frombuffer(mapping, dtype=np.uint8)[:: mmap.PAGESIZE] = 1
    generator = np.random.default_rng(SEED)
    pages = nbytes // mmap.PAGESIZE
    for page in generator.permutation(np.flatnonzero(generator.random(pages) > KEPT)):
        mapping.madvise(mmap.MADV_DONTNEED, int(page) * mmap.PAGESIZE, mmap.PAGESIZE)
    return mapping


def main() -> None:
    """Hold the memory until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, required=True, help="to take; most of what is free")
    ends = {signal.SIGINT, signal.SIGTERM}
    held = take(int(parser.parse_args().gigabytes * 2**30) // mmap.PAGESIZE * mmap.PAGESIZE)
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    print(f"free memory lies in single pages; {KEPT * len(held) / 1e9:.1f} GB are held until Ctrl-C", flush=True)
    signal.sigwait(ends)


if __name__ == "__main__":
    main()
