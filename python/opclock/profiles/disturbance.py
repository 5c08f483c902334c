"""Which rounds other programs disturbed, by what the kernel said about each round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from opclock.profiles.statistics import Samples

Marks = npt.NDArray[np.bool_]

MIN_CLEAN = 5  # rounds: fewer clean ones say too little about an op call
# Of all rounds. Where fewer were clean, they differed by 19 to 66 % from other profiles of the same model; where more
# than 60 % were, by 0.7 % in the median. They come right after other programs' work.
MIN_CLEAN_SHARE = 0.10
MAX_WAIT = 0.01  # of a round's wall time: a clean round's threads waited for cores no longer, in sum
MAX_STEAL = 0.05  # of a block's wall time; one tick of 10 ms is as much as a fifth of a short block
MIN_CPU = 0.8  # of a round's wall time: a clean round's process ran at least this long, as PyTorch's threads spin
MIN_CPU_WALL_S = 0.1  # of a round whose CPU time says something: some kernels count it in steps of 10 ms


@dataclass(frozen=True)
class Readings:
    """What the kernel said about each round; NaN where it does not count. One number for each round."""

    wall_s: Samples  # wall seconds of the whole round
    wait_s: Samples  # seconds that threads of the process were ready and waited for a core, summed over them
    switches: Samples  # how often the kernel took a core from a thread of the process
    cpu_s: Samples  # CPU seconds of the process
    steal_s: Samples  # seconds that the host of a virtual machine took: the round's part of its block's
    faults: Samples  # page faults of the process that needed no disk

    @staticmethod
    def unknown(rounds: int) -> Readings:
        """Readings of rounds about which nothing is known."""
        return Readings(*(np.full(rounds, np.nan) for _ in fields(Readings)))

    @staticmethod
    def joined(parts: Sequence[Readings]) -> Readings:
        """The readings of several series of rounds as one."""
        names = [field.name for field in fields(Readings)]
        return Readings(*(np.concatenate([np.empty(0), *(getattr(part, name) for part in parts)]) for name in names))

    def first(self, count: int) -> Readings:
        """The readings of the first ``count`` rounds."""
        return Readings(*(getattr(self, field.name)[:count] for field in fields(Readings)))

    def row(self, number: int) -> Readings:
        """The readings of one round."""
        return Readings(*(getattr(self, field.name)[number : number + 1] for field in fields(Readings)))

    def set(self, rounds: slice, before: Sequence[float], after: Sequence[float], *, unkept: int = 0) -> None:
        """Fill in the readings of these rounds: each gets an equal part of what was counted between two readings.

        Args:
            rounds: their numbers, without a step.
            before: the counters before them, in the order of the fields.
            after: the counters after them.
            unkept: how many more rounds ran between the readings.
        """
        for field, earlier, later in zip(fields(Readings), before, after, strict=True):
            getattr(self, field.name)[rounds] = (later - earlier) / (rounds.stop - rounds.start + unkept)

    def share_steal(self, block_s: float, steal_s: float) -> None:
        """Divide the time stolen during a block of this many wall seconds among its rounds by their wall time."""
        self.steal_s[:] = self.wall_s * (steal_s / block_s if block_s > 0 else np.nan)


def disturbed(readings: Readings) -> Marks:
    """By round: whether other programs took enough of the cores to change the round's time.

    A round is disturbed if its threads waited for cores for more than 1 % of its wall time in sum. Where the kernel
    does not count this, it is disturbed if a thread lost its core, or if it took at least 0.1 s and the process ran for
    less than 80 % of that. It is disturbed, too, if the host of a virtual machine took more than 5 % of its block.
    """
    with np.errstate(invalid="ignore"):
        waited = readings.wait_s > MAX_WAIT * readings.wall_s
        idle = (readings.wall_s >= MIN_CPU_WALL_S) & (readings.cpu_s < MIN_CPU * readings.wall_s)
        lost = (readings.switches > 0) | idle
        stolen = readings.steal_s > MAX_STEAL * readings.wall_s
    known = np.isfinite(readings.wait_s) & np.isfinite(readings.wall_s)
    return np.where(known, waited, lost) | stolen


def contended(clean: int, rounds: int) -> bool:
    """Whether so many rounds, or runs of the model, were disturbed that too few are clean.

    Args:
        clean: the number of clean ones.
        rounds: the number of all.
    """
    return clean < min(MIN_CLEAN, rounds) or clean < MIN_CLEAN_SHARE * rounds


def kept(readings: Readings) -> Marks:
    """By round: whether it counts. Clean rounds do; with fewer than MIN_CLEAN, those that waited least."""
    marks = disturbed(readings)
    if np.count_nonzero(~marks) >= MIN_CLEAN:
        return ~marks
    with np.errstate(invalid="ignore", divide="ignore"):
        share = readings.wait_s / readings.wall_s
    waited = np.where(np.isfinite(share), share, np.nan_to_num(readings.switches))
    counting = np.zeros(marks.size, dtype=bool)
    counting[np.lexsort((waited, marks))[:MIN_CLEAN]] = True
    return counting | ~marks
