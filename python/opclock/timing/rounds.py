"""Samples of rounds: one row for each pass over the pool."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opclock.profiles.statistics import Samples


@dataclass(frozen=True)
class Rounds:
    """Samples of rounds in seconds. They are filled in place, so that rounds allocate no memory."""

    seconds: Samples  # rounds x op calls
    control_s: Samples  # the control workload's, one a round
    host_s: Samples | None  # rounds x kinds of host work, where it is played

    @staticmethod
    def empty(rounds: int, calls: int, kinds: int | None) -> Rounds:
        """Arrays for this many rounds of this many op calls and kinds of host work (None: no host is played)."""
        host_s = None if kinds is None else np.empty((rounds, kinds))
        return Rounds(np.empty((rounds, calls)), np.empty(rounds), host_s)

    def first(self, count: int) -> Rounds:
        """The first ``count`` rounds."""
        host_s = None if self.host_s is None else self.host_s[:count]
        return Rounds(self.seconds[:count], self.control_s[:count], host_s)

    @property
    def total_s(self) -> Samples:
        """By round: the sum of op calls and host work."""
        total_s: Samples = self.seconds.sum(axis=1)
        if self.host_s is not None:
            total_s = total_s + self.host_s.sum(axis=1)
        return total_s
