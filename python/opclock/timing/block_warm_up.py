"""Warms a block of runs up: other work has run since the block before it, and has taken its place in the caches."""

from __future__ import annotations

import time
from collections.abc import Callable

# After other work rounds of 12 ms were 8 to 40 % slower in the second run, and 1 to 2 % until the tenth; rounds of 2 to
# 3 ms until the fifth (docs/method.md).
LONGEST_S = 0.1
MOST_RUNS = 10


class BlockWarmUp:
    """Makes runs that are not kept, for as long as other work ran since the block before.

    One at least, and not for more than ``longest_s`` and ``most_runs``.

    Attributes:
        last_s: wall seconds of the runs before the last block.
    """

    last_s = 0.0

    def __init__(self, longest_s: float = LONGEST_S, most_runs: int = MOST_RUNS) -> None:
        self._longest_s, self._most_runs = longest_s, most_runs
        self._left_s = time.perf_counter()  # the time when these runs were left for other work

    def run(self, once: Callable[[], object]) -> None:
        """Make the runs of one block that are not kept.

        Args:
            once: makes one run.
        """
        start_s = time.perf_counter()
        end_s = start_s + min(self._longest_s, start_s - self._left_s)
        for _ in range(self._most_runs):
            once()
            if time.perf_counter() >= end_s:
                break
        self.last_s = time.perf_counter() - start_s

    def block_ended(self) -> None:
        """Note that the block's last run was made."""
        self._left_s = time.perf_counter()
