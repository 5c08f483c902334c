"""Times runs of a session, and asks the kernel between them whether other programs took the cores."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from opclock.extension import load_core, process_clock
from opclock.files import text_of
from opclock.profiles.disturbance import Readings

READ_EVERY_S = 0.01  # of runs share one reading: asking more often would cost more than it tells
TASKS = Path("/proc/self/task")


@dataclass(frozen=True)
class Snapshot:
    """Totals of this process so far, see ``Readings``; NaN where the kernel does not tell."""

    wall_s: float
    wait_s: float
    switches: float
    cpu_s: float
    steal_s: float = float("nan")


def snapshot(tasks: Path = TASKS) -> Snapshot:
    """Read the totals of this process, over all its threads.

    Args:
        tasks: the folder of its threads in /proc; a test passes another.
    """
    waits_ns: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(tasks):  # noqa: PTH208 - between timed runs: no object for each thread
            parts = text_of(tasks / task / "schedstat").split()
            if len(parts) > 1 and parts[1].isdigit():
                waits_ns.append(int(parts[1]))
    try:
        import resource

        switches = float(resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw)
    except ImportError:  # Windows
        switches = float("nan")
    wait_s = sum(waits_ns) / 1e9 if waits_ns else float("nan")
    return Snapshot(time.perf_counter(), wait_s, switches, time.process_time())


def sample(
    run: Callable[[], object], runs: int, totals: Callable[[], Snapshot] = snapshot
) -> tuple[list[float], Readings]:  # fmt: skip
    """Time runs after one that is not kept.

    Args:
        run: one inference.
        runs: how many are timed.
        totals: reads the totals of this process.

    Returns:
        Seconds of each run, and what the kernel said about the runs: about several together where they are short.
    """
    start = time.perf_counter()
    run()
    together = max(1, int(READ_EVERY_S / max(time.perf_counter() - start, 1e-9)))
    samples: list[float] = []
    readings: list[tuple[float, ...]] = []
    before = totals()
    while len(samples) < runs:
        count = min(together, runs - len(samples))
        samples += load_core().time_calls(process_clock(), run, count)
        after = totals()
        # A thread that has ended takes its wait along: the difference is then too small, but never below 0.
        change = tuple(max(0.0, new - old) if new == new else new
                       for new, old in zip(astuple(after), astuple(before), strict=True))  # fmt: skip
        readings += [change] * count
        before = after
    columns = np.array(readings, dtype=float).T
    return samples, Readings(**{field.name: columns[number] for number, field in enumerate(fields(Readings))})
