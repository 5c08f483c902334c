"""Rounds that several processes took in turn: their middle with its interval, and how their layouts differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from opclock.profiles.statistics import Blocks, Samples, median_interval, student

Processes = npt.NDArray[np.integer]

MIN_ROUNDS = 5  # of a process that counts; one that was interrupted before has no steady median
FEW_FAULTS = 100  # page faults of a round: fewer take less than 0.1 ms
FACTOR = 1.5  # between the page faults of two processes whose layouts differ


def middle(samples: Samples, processes: Processes | None = None) -> Any:  # noqa: ANN401 - a float, or one by column
    """The median of samples; of several processes, the mean of their medians.

    The mean of medians is the same on average however many processes there are, and half as variable as their median
    where a process has one of two layouts (``docs/method.md``).

    Args:
        samples: by round, or rounds x columns, in any unit.
        processes: by round, the number of its process; None where one process took all.

    Returns:
        The middle, or one for each column, in the samples' unit.
    """
    return np.mean([np.median(samples[marks], axis=0) for marks in _marks(samples, processes)], axis=0)


def middle_interval(
    samples: Samples, confidence: float = 0.95, *, blocks: Blocks | None = None, processes: Processes | None = None
) -> tuple[float, float]:
    """Compute a confidence interval of the middle.

    The medians of processes are independent draws, so their mean has an interval by Student's t with one degree of
    freedom less than there are processes. What the machine does to all of them alike is not in their spread: it comes
    from the rounds in the order they were taken, each less its process's median (``median_interval``). The half widths
    are added as independent errors are.

    Args:
        samples: by round, in the order they were taken, in any unit.
        confidence: the confidence level, a fraction.
        blocks: by sample, the number of its block.
        processes: by sample, the number of its process; None where one process took all.

    Returns:
        Both ends, in the samples' unit; not below 0 where no sample is.

    Raises:
        ValueError: no samples, or not one block number for each.
    """
    groups = _marks(samples, processes)
    counting = np.any(groups, axis=0)
    some_blocks = None if blocks is None else blocks[counting]
    if len(groups) == 1:
        return median_interval(samples[counting], confidence, blocks=some_blocks)
    medians = np.array([np.median(samples[marks]) for marks in groups])
    center = float(medians.mean())
    shifted = samples.astype(float)
    for marks, median in zip(groups, medians, strict=True):
        shifted[marks] += center - median
    low, high = median_interval(shifted[counting], confidence, blocks=some_blocks)
    quantile = student(len(groups) - 1, (1 + confidence) / 2)
    between = quantile * float(medians.std(ddof=1)) / math.sqrt(len(groups))
    ends = center - math.hypot(center - low, between), center + math.hypot(high - center, between)
    return (max(0.0, ends[0]) if samples.min() >= 0 else ends[0]), ends[1]


def _marks(samples: Samples, processes: Processes | None) -> list[npt.NDArray[np.bool_]]:
    """For each process that counts: which rounds are its own."""
    if processes is None:
        return [np.ones(len(samples), dtype=bool)]
    groups = [processes == number for number in np.unique(processes)]
    return [marks for marks in groups if marks.sum() >= MIN_ROUNDS] or groups


@dataclass(frozen=True)
class ProcessTimes:
    """What one process measured.

    Attributes:
        median_s: of its rounds, in seconds.
        interval_s: the 95 % interval of that median, for this process alone.
        rounds: that count.
        faults: page faults of a round, the median; None where they are not known.
    """

    median_s: float
    interval_s: tuple[float, float]
    rounds: int
    faults: float | None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        low_s, high_s = self.interval_s
        return {"median_s": self.median_s, "ci_low_s": low_s, "ci_high_s": high_s, "rounds": self.rounds,
                "faults": self.faults}  # fmt: skip

    @staticmethod
    def from_json(data: dict[str, Any]) -> ProcessTimes:
        """The inverse of to_json."""
        interval_s = (data["ci_low_s"], data["ci_high_s"])
        return ProcessTimes(data["median_s"], interval_s, data["rounds"], data["faults"])


def process_times(
    rounds_s: Samples, faults: Samples, *, blocks: Blocks | None = None, processes: Processes | None = None
) -> tuple[ProcessTimes, ...]:
    """What each process measured.

    Args:
        rounds_s: seconds by round, in the order they were taken.
        faults: page faults by round; NaN where not known.
        blocks: by round, the number of its block.
        processes: by round, the number of its process; None where one process took all.

    Returns:
        One for each process that counts, in the order of their numbers.
    """
    return tuple(
        ProcessTimes(
            float(np.median(rounds_s[marks])),
            median_interval(rounds_s[marks], blocks=None if blocks is None else blocks[marks]),
            int(marks.sum()),
            None if np.isnan(faults[marks]).any() else float(np.median(faults[marks])),
        )
        for marks in (_marks(rounds_s, processes) if len(rounds_s) else [])
    )


Layouts = tuple[tuple[ProcessTimes, ...], tuple[ProcessTimes, ...]]


def differing_layouts(times: Sequence[ProcessTimes]) -> Layouts | None:
    """Divide processes into slower ones with many page faults in a round, and faster ones with few or none.

    Args:
        times: of all processes.

    Returns:
        Both groups, where their page faults differ by a factor and their intervals do not meet; else None.
    """
    known = [(one.faults, one) for one in times if one.faults is not None]
    if len(known) < len(times):
        return None
    order = sorted(known, key=lambda pair: pair[0], reverse=True)
    for count in range(1, len(order)):
        many, few = order[:count], order[count:]
        apart = many[-1][0] >= FACTOR * few[0][0] + FEW_FAULTS
        if apart and min(one.interval_s[0] for _, one in many) > max(one.interval_s[1] for _, one in few):
            return tuple(one for _, one in many), tuple(one for _, one in few)
    return None
