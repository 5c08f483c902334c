"""Runs of a whole inference, with what the kernel said about each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from opclock.board.contention import Contention
from opclock.profiles.disturbance import Marks, Readings, contended, disturbed, kept
from opclock.profiles.processes import Processes
from opclock.profiles.statistics import Blocks, Samples
from opclock.profiles.watch import Watch, rounds_together
from opclock.timing.block_warm_up import BlockWarmUp

# Makes so many runs that are not kept, then so many that are kept, in a row. Returns the seconds of those kept.
InARow = Callable[[int, int], Sequence[float]]


def one_by_one(run: Callable[[], float], unkept: Callable[[], object] = lambda: None) -> InARow:
    """Runs that are made one at a time.

    Args:
        run: makes one that is kept and returns its seconds.
        unkept: makes one that is not.
    """

    def in_a_row(first: int, count: int) -> list[float]:
        for _ in range(first):
            unkept()
        return [run() for _ in range(count)]

    return in_a_row


@dataclass(frozen=True)
class RunSamples:
    """Samples of the runs that count. Each array has one number for each run, in the same order.

    Attributes:
        seconds: of each run.
        blocks: the number of its block; a block's runs were made in a row.
        faults: its page faults that needed no disk; NaN where not known.
        processes: the number of its process, from 1; None where one process took all.
    """

    seconds: Samples
    blocks: Blocks
    faults: Samples
    processes: Processes | None = None

    @staticmethod
    def of(seconds: Samples, blocks: Blocks | None = None) -> RunSamples:
        """Samples of one process whose page faults are not known. Without blocks each run is one of its own."""
        return RunSamples(seconds, np.arange(seconds.size) if blocks is None else blocks, np.full(seconds.size, np.nan))

    @staticmethod
    def joined(parts: Sequence[RunSamples]) -> RunSamples:
        """All these samples in the order of their blocks; those of equal blocks in the order of the parts."""
        order = np.argsort(np.concatenate([part.blocks for part in parts]), kind="stable")

        def joined(name: str) -> Any:  # noqa: ANN401 - an array of one of several types
            arrays = [getattr(part, name) for part in parts]
            return None if any(array is None for array in arrays) else np.concatenate(arrays)[order]

        return RunSamples(*(joined(field.name) for field in fields(RunSamples)))

    def in_process(self, number: int) -> RunSamples:
        """The same samples as those of one process among several."""
        return RunSamples(self.seconds, self.blocks, self.faults, np.full(self.seconds.size, number))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: array.tolist() for name, array in arrays.items() if array is not None}

    @staticmethod
    def from_json(data: dict[str, Any]) -> RunSamples:
        """The inverse of to_json."""
        return RunSamples(
            np.array(data["seconds"], dtype=float),
            np.array(data["blocks"], dtype=int),
            np.array(data["faults"], dtype=float),
            np.array(data["processes"], dtype=int) if "processes" in data else None,
        )


class Runs:
    """Seconds of runs that are taken block by block. A disturbed run does not count.

    Args:
        contention: asks the kernel; several kinds of runs may share it.
        warm_up: of blocks; runs of the same work share it. None for one of their own.
    """

    def __init__(self, contention: Contention, warm_up: BlockWarmUp | None = None) -> None:
        self._contention = contention
        self._warm_up = BlockWarmUp() if warm_up is None else warm_up
        self._seconds: list[float] = []
        self._blocks: list[int] = []
        self._readings: list[Readings] = []  # by block

    def block(self, runs: InARow, count: int) -> None:
        """Make this many runs that are kept.

        More are made that are not: to warm the block up, and one before short runs that share a reading.

        Args:
            runs: makes them.
            count: how many.
        """
        number, together = len(self._readings), 1
        self._warm_up.run(lambda: runs(1, 0))
        watch = Watch(self._contention, count)
        while watch.rounds < count:
            several = min(together, count - watch.rounds)
            unkept = int(several > 1)
            self._seconds += runs(unkept, several)
            self._blocks += [number] * several
            watch.rounds_ended(several, unkept=unkept)
            together = rounds_together(self._seconds[-1])
        self._warm_up.block_ended()
        self._readings.append(watch.block_ended())

    @property
    def seconds(self) -> Samples:
        """Of all runs, those that other programs disturbed included."""
        return np.array(self._seconds, dtype=float)

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
        return contended(self.clean, len(self._seconds))

    @property
    def kept(self) -> Marks:
        """By run: whether it counts. See ``opclock.profiles.disturbance.kept``."""
        return kept(self._all)

    @property
    def samples(self) -> RunSamples:
        """Of the runs that count."""
        seconds, blocks = np.array(self._seconds, dtype=float), np.array(self._blocks, dtype=int)
        return RunSamples(seconds[self.kept], blocks[self.kept], self._all.faults[self.kept])

    @property
    def _all(self) -> Readings:
        return Readings.joined(self._readings)
