"""Gives a pool's rounds the page faults of the model. Needs no torch.

The C library gives freed memory back and takes new memory, or keeps it, by where the model's blocks lie in its heap. A
process that times op calls lays them elsewhere, so its rounds may have other page faults than inferences. Both are
counted. What one costs is measured, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from opclock.profiles.pool import FAULT, Pool
from opclock.profiles.processes import Processes, middle
from opclock.profiles.statistics import TWO_SIDED_95, Samples, dot
from opclock.tracing.trace import Trace

LARGE = 128 << 10  # bytes of a block that the C library takes from the system by itself, at first
# A model wins back up to half of what new memory costs: a page that comes anew is in the caches, where one that is used
# again may not be. As fractions of that: the least, the middle, and the middle's standard error.
LEAST, MIDDLE, DEVIATION = 0.5, 0.75, 0.125
MIN_ROUNDS = 8  # of a pool that may say it
POSSIBLE_S = (1e-9, 1.0)  # of one page fault; a damaged profile may say anything


class Cost(NamedTuple):
    """What one page fault takes, in seconds."""

    seconds: float
    error_s: float  # its standard error

    @staticmethod
    def of(pool: Pool, rounds_s: Samples) -> Cost | None:
        """By the slope of the rounds and by new memory, each by its precision; None where new memory was not timed.

        It stays between half of what new memory took and all of it: where few rounds have page faults, one slow round
        alone could make any slope.
        """
        costs_s = pool.watching.get(FAULT, np.empty(0))
        known_s = costs_s[(costs_s >= POSSIBLE_S[0]) & (costs_s <= POSSIBLE_S[1])]
        if not known_s.size:
            return None
        all_s = float(np.median(known_s))
        cost, slope = Cost(MIDDLE * all_s, DEVIATION * all_s), _slope(pool, rounds_s)
        if slope is None:
            return cost
        weights = [1 / (one.error_s * one.error_s) for one in (cost, slope)]
        mean_s = (weights[0] * cost.seconds + weights[1] * slope.seconds) / sum(weights)
        return Cost(min(all_s, max(LEAST * all_s, mean_s)), 1 / math.sqrt(sum(weights)))


@dataclass(frozen=True)
class PageFaults:
    """The page faults of a pool's rounds beside those of the model.

    Attributes:
        pool: its number.
        of_model: by round, the page faults of one inference in the round's process.
        lacking: by round, how many more than in the round; negative where the round has more.
        cost: of one.
        processes: by round, the number of its process.
    """

    pool: int
    of_model: Samples
    lacking: Samples
    cost: Cost
    processes: Processes | None

    @staticmethod
    def of(pool: Pool, rounds_s: Samples) -> PageFaults | None:
        """Read them from the pool that has all op calls of a model and its host.

        Args:
            pool: the rounds.
            rounds_s: the seconds of each, what watching added taken off.

        Returns:
            None where page faults, or what one costs, are not known.
        """
        if not pool.model_faults or np.isnan(pool.faults).any():
            return None
        cost = Cost.of(pool, rounds_s)
        if cost is None:
            return None
        of_model = _of_model(pool)
        return PageFaults(pool.number, of_model, of_model - pool.faults, cost, pool.processes)

    @property
    def rounds_s(self) -> Samples:
        """By round: the seconds that its page faults lack."""
        return self.lacking * self.cost.seconds

    @property
    def added_s(self) -> float:
        """The middle of these."""
        return float(middle(self.rounds_s, self.processes))

    @property
    def error_s(self) -> float:
        """Half the 95 % interval of what is added: a page fault's cost is known no better."""
        return TWO_SIDED_95 * abs(float(middle(self.lacking, self.processes))) * self.cost.error_s

    def by_call_s(self, trace: Trace) -> Samples:
        """The added seconds by position of the op call."""
        return by_call_s(trace, self.added_s)


def by_call_s(trace: Trace, added_s: float) -> Samples:
    """Divide the seconds of a model's page faults among its op calls: they come with the blocks that outputs take.

    Large blocks share them by their bytes. Where there are none, the outputs of any size do.

    Args:
        trace: the model.
        added_s: the seconds of all page faults.

    Returns:
        Seconds by position.
    """
    taken = [[trace.storages[number].nbytes for number in numbers] for numbers in trace.allocations]
    large = np.array([sum(size for size in sizes if size >= LARGE) for sizes in taken], dtype=float)
    weights = large if large.any() else np.array([sum(sizes) for sizes in taken], dtype=float)
    total = float(weights.sum())
    return weights / total * added_s if total else weights


def _slope(pool: Pool, rounds_s: Samples) -> Cost | None:
    """By a least-squares fit of the rounds' seconds to their page faults, each less its process's mean.

    None where the rounds do not differ in them.
    """
    freedom = len(rounds_s) - 1 - (1 if pool.processes is None else len(set(pool.processes.tolist())))
    if len(rounds_s) < MIN_ROUNDS or freedom < 1:
        return None
    faults, seconds = (_less_mean(values, pool.processes) for values in (pool.faults, rounds_s))
    spread = dot(faults, faults)
    if spread == 0.0:
        return None
    cost_s = dot(faults, seconds) / spread
    rest = seconds - cost_s * faults
    error_s = math.sqrt(dot(rest, rest) / freedom / spread)
    return Cost(cost_s, error_s) if error_s > 0 else None


def _less_mean(values: Samples, processes: Processes | None) -> Samples:
    less: Samples = values.astype(float)
    if processes is None:
        return np.asarray(less - less.mean())
    for number in set(processes.tolist()):
        less[processes == number] -= less[processes == number].mean()
    return less


def _of_model(pool: Pool) -> Samples:
    """By round: page faults of one inference in its process; of all processes in the mean where its own are unknown."""
    mean = float(np.mean(list(pool.model_faults.values())))
    numbers = np.zeros(len(pool.faults), dtype=int) if pool.processes is None else pool.processes
    return np.array([pool.model_faults.get(int(number), mean) for number in numbers])
