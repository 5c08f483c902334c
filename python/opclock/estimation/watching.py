"""Takes off what timing op calls one by one added to a pool's rounds. Needs no torch."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass

import numpy as np

from opclock.profiles.pool import REAL, SINGLE, WATCHED, Pool
from opclock.profiles.statistics import NORMAL_MAD, TWO_SIDED_95, Samples

FEW = 3  # samples; fewer show nothing about their own error


@dataclass(frozen=True)
class Watching:
    """Seconds that watching adds to one op call.

    They come from small models whose kernels do nearly nothing, which were run as they are and timed op call by op call
    in the same minutes: a least-squares fit of the median differences to their numbers of op calls. Views had a figure
    of their own; from few samples it was as often above that of other op calls as below, and made both uncertain.
    """

    call_s: float = 0.0
    error: float = 0.0  # half its 95 % interval, as a fraction

    @staticmethod
    def of(pool: Pool) -> Watching:
        """What was measured among the rounds of a pool; nothing where no small model was."""
        counts, added_s, errors_s = [], [], []
        samples = 0
        for name, calls in pool.context.get("small_models", {}).items():
            real_s = pool.watching.get(SINGLE + name, pool.watching.get(REAL + name))
            differences = _finite(pool.watching.get(WATCHED + name), real_s)
            if differences.size:
                counts.append(sum(calls.values()))
                added_s.append(float(np.median(differences)))
                errors_s.append(_standard_error(differences))
                samples = max(samples, differences.size)
        weight = math.fsum(count * count for count in counts)
        call_s = math.fsum(map(operator.mul, counts, added_s)) / weight if weight else 0.0
        if call_s <= 0:
            return Watching()
        error_s = math.hypot(*map(operator.mul, counts, errors_s)) / weight
        return Watching(call_s, min(1.0, TWO_SIDED_95 * error_s / call_s) if samples >= FEW else 1.0)

    def of_kind_s(self, kind: str) -> float:
        """What it adds to an op call after host work of this kind, as ``host_kinds`` names it."""
        module, _, _operator = kind.rpartition("/")
        return self.call_s if module else 0.0  # the end: no op call


def _finite(watched_s: Samples | None, real_s: Samples | None) -> Samples:
    if watched_s is None or real_s is None:
        return np.empty(0)
    with np.errstate(invalid="ignore"):  # both are infinite in a damaged profile
        differences: Samples = watched_s - real_s
    return differences[np.isfinite(differences)]


def _standard_error(differences: Samples) -> float:
    """Of their median, from the median absolute deviation: a few that the machine disturbed are no part of it."""
    deviation = NORMAL_MAD * float(np.median(np.abs(differences - np.median(differences))))
    return math.sqrt(math.pi / 2) * deviation / math.sqrt(differences.size)


def unwatched(pool: Pool) -> tuple[Samples, float]:
    """The host's work in a pool's rounds without what watching added.

    Args:
        pool: the rounds.

    Returns:
        Seconds, rounds x kinds, not below 0; and half the 95 % interval of what is taken off a round, in seconds.
    """
    watching = Watching.of(pool)
    added_s = [watching.of_kind_s(kind) for kind in pool.host_kinds]
    return np.maximum(pool.host_s - np.array(added_s), 0.0), watching.error * math.fsum(added_s)
