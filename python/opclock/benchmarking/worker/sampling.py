"""Times runs of a session, and asks the kernel between them whether other programs took the cores."""

from __future__ import annotations

import time
from collections.abc import Callable

from opclock.board.contention import Contention
from opclock.extension import load_core, process_clock
from opclock.profiles.disturbance import Readings
from opclock.profiles.watch import Watch, rounds_together


def sample(run: Callable[[], object], runs: int, contention: Contention) -> tuple[list[float], Readings]:
    """Time runs after one that is not kept.

    Args:
        run: one inference.
        runs: how many are timed.
        contention: reads the counters of this process.

    Returns:
        Seconds of each run, and what the kernel said about it; several short runs have equal readings, their mean.
    """
    start = time.perf_counter()
    run()
    together = rounds_together(time.perf_counter() - start)
    counts = [min(together, runs - done) for done in range(0, runs, together)]
    samples: list[float] = []
    watch = Watch(contention, runs)
    for count in counts:
        samples += load_core().time_calls(process_clock(), run, count)
        watch.rounds_ended(count)
    return samples, watch.block_ended()
