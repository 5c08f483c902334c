"""Decides when a round has been sampled enough, and when sampling ends."""

from __future__ import annotations

import math

import numpy as np

from opclock.profiles.statistics import Blocks, Samples, median_interval

NARROW = 0.01  # half the interval of a round's median, as a fraction; repeated measurements differ by more
FIRST_LOOK = 20  # rounds
GROWTH = 1.5  # of the rounds from one look to the next
LOOKS = 3  # in a row that must agree
CONFIDENCE = 0.98  # of the intervals that are judged; the reported one is at 95 %
EXTENSION = 3.0  # times the usual time at most, where other programs disturb the rounds


def is_over(spent_share: float, *, limited: bool, clean: bool, settled: bool) -> bool:
    """Whether sampling ends, once everything has its fewest rounds.

    Args:
        spent_share: the time spent on rounds, as a fraction of the usual time.
        limited: whether the user set that time. If not, sampling goes on for up to ``EXTENSION`` times as long until
            enough rounds are clean.
        clean: whether enough rounds are clean.
        settled: whether everything was sampled enough.

    Returns:
        True where no further round is needed, or where the time is up.
    """
    if spent_share >= (1.0 if limited else EXTENSION):
        return True
    return clean and (spent_share >= 1.0 or settled)


class Looks:
    """Judges the interval of a median while samples come in, so that the interval still holds in the end.

    Whoever looks again and again until an interval is narrow stops where it is too narrow by chance. So there are few
    looks, at growing numbers of samples; they judge a wider interval than the reported one; and the last three of them,
    each scaled by the square root of its samples, must agree. ``docs/method.md`` has the coverage.
    """

    def __init__(self) -> None:
        self._next = FIRST_LOOK
        self._scaled: list[float] = []  # by look: half the interval as a fraction, times the root of the samples
        self._settled = False

    def settled(self, samples: Samples, blocks: Blocks | None = None) -> bool:
        """Whether the interval is narrow enough. Looks only where enough samples came since the last look.

        Args:
            samples: all so far, in the order they were taken; at least those of the last call.
            blocks: by sample, the number of its block.
        """
        count = len(samples)
        if not self._settled and count >= self._next:
            self._next = math.ceil(count * GROWTH)
            low, high = median_interval(samples, CONFIDENCE, blocks=blocks)
            half, root = (high - low) / 2, math.sqrt(count)
            self._scaled = [*self._scaled, half / float(np.median(samples)) * root][-LOOKS:]
            self._settled = len(self._scaled) == LOOKS and max(self._scaled) <= NARROW * root
        return self._settled
