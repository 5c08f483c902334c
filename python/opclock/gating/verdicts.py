"""Whether the head of a gate is slower than its base, by the processes of both sides.

The unit is the process: each has a layout of memory of its own, which moves its times by some percent as long as it
lives. All processes of a wave take turns, so that what the machine does falls on all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import stdtr, stdtrit  # scipy.stats takes half a second to import

from opclock.formatting import percent
from opclock.profiles.statistics import Samples
from opclock.profiles.verdicts import adjusted

# Of the verdicts faster and slower, in all models of a gate together (Benjamini and Hochberg 1995).
FALSE_CHANGES = 0.02
FALSE_SAME = 0.05  # of the models that differ by more than the gate allows
LEAST_ERROR = 0.005  # standard error of a difference: five processes may be alike by chance


@dataclass(frozen=True)
class Levels:
    """One process: the logarithm of its typical seconds."""

    side: int  # 0 for the base, 1 for the head
    wave: int
    level: float


@dataclass(frozen=True)
class Difference:
    """How much slower the head is, in natural logarithms of time.

    Attributes:
        shift: the mean of the head's processes, less that of the base's, in each wave.
        error: the standard error of that.
        freedom: degrees of freedom of the error.
        floor: the A/A floor: the largest difference between two halves of the processes of one side.
    """

    shift: float
    error: float
    freedom: int
    floor: float

    @staticmethod
    def of(processes: Sequence[Levels]) -> Difference:
        """Compare the processes of both sides. Each wave has at least two of each side."""
        waves = sorted({one.wave for one in processes})
        cells = [[np.array([one.level for one in processes if (one.wave, one.side) == (wave, side)]) for side in (0, 1)]
                 for wave in waves]  # fmt: skip
        shifts = np.array([head.mean() - base.mean() for base, head in cells])
        weights = np.array([1 / (1 / base.size + 1 / head.size) for base, head in cells])
        squares = sum(float(np.sum((cell - cell.mean()) ** 2)) for both in cells for cell in both)
        freedom = sum(cell.size - 1 for both in cells for cell in both)
        error = float(np.hypot(LEAST_ERROR, np.sqrt(squares / freedom / weights.sum())))
        floor = max(_halves_apart([both[side] for both in cells]) for side in (0, 1))
        return Difference(float(np.average(shifts, weights=weights)), error, freedom, floor)

    @property
    def half_width(self) -> float:
        """Half the 95 % interval of the shift."""
        return float(stdtrit(self.freedom, 0.975)) * self.error


def _halves_apart(waves: Sequence[Samples]) -> float:
    """How far the two halves of equal processes lie apart, at most: they are divided in each way."""
    centred = np.concatenate([values - values.mean() for values in waves])
    half = centred.size // 2
    return max(abs(float(centred[list(chosen)].mean() - np.delete(centred, list(chosen)).mean()))
               for chosen in combinations(range(centred.size), half))  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What a gate says about one model."""

    word: str  # same, faster, slower or undecided
    reason: str


def judge(differences: Sequence[Difference], max_slowdown: float) -> list[Verdict]:
    """Judge all models of a gate together.

    A model is the same where two one-sided tests (Schuirmann 1987) show that it is within ``max_slowdown``. Else it is
    faster or slower where a t test over the processes shows that it is not 0, with the false discovery rate held to
    ``FALSE_CHANGES``, and the shift is above the A/A floor; "slower" also needs one above ``max_slowdown``.

    Args:
        differences: one for each model.
        max_slowdown: a fraction.

    Returns:
        The verdicts, by model.
    """
    shift = np.array([one.shift for one in differences])
    error = np.array([one.error for one in differences])
    freedom = np.array([one.freedom for one in differences])
    chance = adjusted(2 * stdtr(freedom, -np.abs(shift) / error))
    within = stdtr(freedom, (np.abs(shift) - np.log1p(max_slowdown)) / error) <= FALSE_SAME
    return [_verdict(*one, max_slowdown) for one in zip(differences, chance.tolist(), within.tolist(), strict=True)]


def _verdict(one: Difference, chance: float, within: bool, max_slowdown: float) -> Verdict:
    half = f"± {percent(one.half_width)}"
    if within:
        return Verdict("same", f"within {percent(max_slowdown)}")
    if chance > FALSE_CHANGES:
        return Verdict("undecided", f"known to {half} only")
    if abs(one.shift) <= one.floor:
        return Verdict("undecided", f"equal processes differ as much ({percent(one.floor)})")
    if 0 < one.shift <= np.log1p(max_slowdown):
        return Verdict("undecided", f"slower, but perhaps within {percent(max_slowdown)} ({half})")
    return Verdict("slower" if one.shift > 0 else "faster", f"more than chance explains ({half})")
