"""Which rounds other programs disturbed, by what the kernel said about each round."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from opclock.profiles.statistics import Samples

Marks = npt.NDArray[np.bool_]

MIN_CLEAN = 5  # rounds: fewer clean ones say too little about an op call
MAX_WAIT = 0.01  # of a round's wall time: a clean round waited for cores no longer than this


@dataclass(frozen=True)
class Readings:
    """What the kernel said about each round; NaN where it does not tell. One number for each round."""

    wall_s: Samples  # wall seconds of the whole round
    wait_s: Samples  # seconds that threads of the process were ready and waited for a core, summed over them
    switches: Samples  # how often the kernel took a core from a thread of the process
    cpu_s: Samples  # CPU seconds of the process
    steal_s: Samples  # seconds that the host of a virtual machine took

    @staticmethod
    def unknown(rounds: int) -> Readings:
        """Readings of rounds about which nothing is known."""
        return Readings(*(np.full(rounds, np.nan) for _ in fields(Readings)))


def disturbed(readings: Readings) -> Marks:
    """By round: whether it waited for cores for over 1 % of its time or, where that is not known, lost a core."""
    with np.errstate(invalid="ignore"):
        waited = readings.wait_s > MAX_WAIT * readings.wall_s
        switched = readings.switches > 0
    known = np.isfinite(readings.wait_s) & np.isfinite(readings.wall_s)
    return np.where(known, waited, switched)


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
