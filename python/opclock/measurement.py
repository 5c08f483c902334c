"""Measurements: raw samples and their condition. Every statistic is derived here, never stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binom, t

from opclock.condition import Condition

Samples = npt.NDArray[np.float64]

BATCHES = 24  # at most; in a validation a batch is then about a block, and other things are timed between blocks
LEAST_IN_BATCH = 3  # rounds: the median of three outvotes one disturbed


def median_interval(samples: Samples, confidence: float = 0.95) -> tuple[float, float]:
    """The narrowest symmetric pair of order statistics that holds the median, whatever the distribution.

    Conover 1999, section 3.2; the extremes where there are too few samples. Raises ValueError on no samples.
    """
    if samples.size == 0:
        raise ValueError("no samples")
    ordered = np.sort(samples)
    count = ordered.size
    # The most samples that may be left out below: P(Binomial(n, 1/2) <= low) <= tail.
    low = int(binom.ppf((1 - confidence) / 2, count, 0.5))
    if binom.cdf(low, count, 0.5) > (1 - confidence) / 2:
        low -= 1
    low = max(low, 0)
    return float(ordered[low]), float(ordered[count - 1 - low])


def rounds_interval(rounds_s: Samples, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of the median of rounds that share the machine's mood.

    Order statistics would take them for independent. Medians of consecutive batches show the mood: their standard error
    times Student's t (the method of batch means); order statistics where there are too few rounds for two batches.
    Raises ValueError on no samples.
    """
    batches = min(BATCHES, rounds_s.size // LEAST_IN_BATCH)
    if batches < 2:
        return median_interval(rounds_s, confidence)
    medians = [float(np.median(batch)) for batch in np.array_split(rounds_s, batches)]
    half = float(t.ppf((1 + confidence) / 2, batches - 1) * np.std(medians, ddof=1) / np.sqrt(batches))
    middle = float(np.median(rounds_s))
    return max(0.0, middle - half), middle + half


def typical_round(rounds: Samples) -> Samples:
    """Medians by column of rounds x columns, scaled to add up to the median round, as an estimate's parts are."""
    medians: Samples = np.median(rounds, axis=0)
    total = float(medians.sum())
    return medians * (float(np.median(rounds.sum(axis=1))) / total if total > 0 else 1.0)


@dataclass(frozen=True)
class Measurement:
    """Samples of one op call, in seconds of one call, in the order they were taken."""

    key: str
    condition: Condition
    samples: Samples
    anchor_s: Samples  # the anchor's samples of the same rounds, one for each sample
    calls_per_sample: int
    reason: str  # why sampling stopped: narrow, stagnant or time_cap; "" where it was interrupted

    @cached_property
    def median_s(self) -> float:
        """The headline."""
        return float(np.median(self.samples))

    @cached_property
    def interval_s(self) -> tuple[float, float]:
        """95 % interval of the median."""
        return median_interval(self.samples)

    @property
    def mad_s(self) -> float:
        """Median absolute deviation from the median."""
        return float(np.median(np.abs(self.samples - self.median_s)))

    @property
    def quartiles_s(self) -> tuple[float, float]:
        """First and third quartile."""
        low, high = np.quantile(self.samples, [0.25, 0.75])
        return float(low), float(high)

    @property
    def p95_s(self) -> float:
        """95th percentile."""
        return float(np.quantile(self.samples, 0.95))

    @property
    def minimum_s(self) -> float:
        """The fastest sample."""
        return float(self.samples.min())


@dataclass(frozen=True)
class Pool:
    """The kept rounds of op calls that were sampled together."""

    number: int
    condition: Condition
    keys: tuple[str, ...]  # by position in the pool; a key may stand at several
    calls_per_sample: tuple[int, ...]  # by position
    reasons: tuple[str, ...]  # by position
    ended: str  # why sampling stopped: settled or time_cap; "" where it was interrupted
    seconds: Samples  # rounds x positions
    anchor_s: Samples  # by round
    host_key: str  # which host was played among them; "" for none
    host_s: Samples  # rounds x host calls
    host_kinds: tuple[str, ...]  # by host call
    context: dict[str, Any] = field(default_factory=dict)  # the clock, and the board's state before and after

    @property
    def rounds_s(self) -> Samples:
        """By round: everything in it, host work as well."""
        kernels_s: Samples = self.seconds.sum(axis=1)
        return kernels_s + self.host_s.sum(axis=1) if self.host_kinds else kernels_s

    @cached_property
    def positions(self) -> dict[str, list[int]]:
        """Where each key stands."""
        found: dict[str, list[int]] = {}
        for position, key in enumerate(self.keys):
            found.setdefault(key, []).append(position)
        return found

    def measurement(self, key: str) -> Measurement:
        """All samples of one op call in this pool, in the order taken. Raises KeyError for a call it lacks."""
        positions = self.positions[key]
        return Measurement(
            key,
            self.condition,
            self.seconds[:, positions].ravel(),
            np.repeat(self.anchor_s, len(positions)),
            self.calls_per_sample[positions[0]],
            self.reasons[positions[0]],
        )
