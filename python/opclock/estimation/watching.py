"""Takes off what timing op calls one by one added to a pool's rounds. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from opclock.profiles.pool import REAL, SINGLE, WATCHED, Pool
from opclock.profiles.statistics import NORMAL_MAD, TWO_SIDED_95, Samples
from opclock.tracing.operator_classes import is_view

FEW = 3  # samples; fewer show nothing about their own error


@dataclass(frozen=True)
class Watching:
    """Seconds that watching adds to one op call.

    They come from small models whose kernels do nearly nothing, which were run as they are and timed op call by op call
    in the same minutes: a least-squares fit of the median differences to their numbers of views and of other op calls.
    A view has fewer arguments that belong to the pool, and no result of its own.
    """

    view_s: float = 0.0
    other_s: float = 0.0
    error: float = 0.0  # half the 95 % interval of both, as a fraction

    @staticmethod
    def of(pool: Pool) -> Watching:
        """What was measured among the rounds of a pool; nothing where no small model was."""
        counts, added_s, errors_s, samples = [], [], [], 0
        for name, calls in pool.context.get("small_models", {}).items():
            real_s = pool.watching.get(SINGLE + name, pool.watching.get(REAL + name))
            differences = _finite(pool.watching.get(WATCHED + name), real_s)
            if differences.size:
                counts.append((calls["views"], calls["others"]))
                added_s.append(float(np.median(differences)))
                errors_s.append(_standard_error(differences))
                samples = max(samples, differences.size)
        total_s = math.fsum(added_s)
        if total_s <= 0:
            return Watching()
        error = TWO_SIDED_95 * math.hypot(*errors_s) / total_s if samples >= FEW else 1.0
        return Watching(*_fitted(counts, added_s), min(1.0, error))

    def of_kind_s(self, kind: str) -> float:
        """What it adds to an op call after host work of this kind, as ``host_kinds`` names it."""
        module, _, operator = kind.rpartition("/")
        if not module:  # the end: no op call
            return 0.0
        return self.view_s if is_view(operator) else self.other_s


def _finite(watched_s: Samples | None, real_s: Samples | None) -> Samples:
    if watched_s is None or real_s is None:
        return np.empty(0)
    differences: Samples = watched_s - real_s
    return differences[np.isfinite(differences)]


def _standard_error(differences: Samples) -> float:
    """Of their median, from the median absolute deviation: a few that the machine disturbed are no part of it."""
    deviation = NORMAL_MAD * float(np.median(np.abs(differences - np.median(differences))))
    return math.sqrt(math.pi / 2) * deviation / math.sqrt(differences.size)


def _fitted(counts: Sequence[tuple[int, int]], added_s: Sequence[float]) -> tuple[float, float]:
    """Seconds of a view and of another op call by least squares, neither of them negative.

    The normal equations in Python's own arithmetic, which gives the same digits on every machine.
    """
    views, others = zip(*counts, strict=True)

    def product(one: Sequence[float], other: Sequence[float]) -> float:
        return math.fsum(left * right for left, right in zip(one, other, strict=True))

    of_views, of_others, mixed = product(views, views), product(others, others), product(views, others)
    determinant = of_views * of_others - mixed**2
    if determinant > 0:
        view_s = (of_others * product(views, added_s) - mixed * product(others, added_s)) / determinant
        other_s = (of_views * product(others, added_s) - mixed * product(views, added_s)) / determinant
        if view_s >= 0 and other_s >= 0:
            return view_s, other_s
    return 0.0, product(others, added_s) / of_others if of_others else 0.0


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
