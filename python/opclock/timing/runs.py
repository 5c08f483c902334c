"""Runs of a whole inference, with what the kernel said about each of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from opclock.board.contention import Contention
from opclock.profiles.disturbance import MIN_CLEAN, Marks, Readings, disturbed, kept
from opclock.profiles.statistics import Samples
from opclock.profiles.watch import Watch, rounds_together


class Runs:
    """Seconds of runs that are taken block by block. A disturbed run does not count.

    Args:
        contention: asks the kernel; several kinds of runs may share it.
    """

    def __init__(self, contention: Contention) -> None:
        self._contention = contention
        self._seconds: list[float] = []
        self._blocks: list[int] = []
        self._readings: list[Readings] = []  # by block

    def block(self, run: Callable[[], float], count: int, unkept: Callable[[], object] = lambda: None) -> None:
        """Make this many runs.

        Args:
            run: makes one and returns its seconds.
            count: how many.
            unkept: makes one that is not kept: at first, and before short runs that share a reading.
        """
        number, together = len(self._readings), 1
        watch = Watch(self._contention, count)
        unkept()
        while watch.rounds < count:
            several = min(together, count - watch.rounds)
            if several > 1:
                unkept()
            self._seconds += [run() for _ in range(several)]
            self._blocks += [number] * several
            watch.rounds_ended(several)
            together = rounds_together(self._seconds[-1])
        self._readings.append(watch.block_ended())

    @property
    def clean(self) -> int:
        """The number of runs that no other program disturbed."""
        return int(np.count_nonzero(~disturbed(self._all)))

    @property
    def disturbed(self) -> int:
        """The number of the other runs."""
        return len(self._seconds) - self.clean

    @property
    def contended(self) -> bool:
        """Whether other programs disturbed so many runs that too few are clean."""
        return self.clean < min(MIN_CLEAN, len(self._seconds))

    @property
    def kept(self) -> Marks:
        """By run: whether it counts. See ``opclock.profiles.disturbance.kept``."""
        return kept(self._all)

    @property
    def seconds(self) -> Samples:
        """Seconds of the runs that count."""
        return np.array(self._seconds)[self.kept]

    @property
    def blocks(self) -> npt.NDArray[np.int_]:
        """The number of the block of each run that counts, from 0."""
        return np.array(self._blocks, dtype=int)[self.kept]

    @property
    def _all(self) -> Readings:
        return Readings.joined(self._readings)
