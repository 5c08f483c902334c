"""The wall seconds that the rounds of some samplers may take."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from opclock.formatting import counted
from opclock.timing.sampler import Sampler
from opclock.timing.sampling_processes import KernelProcess
from opclock.timing.stopping import is_over

MIN_S = 2.0  # of rounds: shorter runs differ from each other by more than their intervals
MIN_ROUNDS = 5


class Budget:
    """The wall seconds for the rounds of some samplers. The usual time depends on the shortest round so far.

    Without a limit of the user's, sampling goes on for up to three times the usual, until enough rounds are clean.
    """

    def __init__(
        self, samplers: Sequence[Sampler | KernelProcess], max_s: float | None, least_s: float, latencies: int,
        each: str = "",
    ) -> None:  # fmt: skip
        """Begin to count.

        Args:
            samplers: whose rounds count together.
            max_s: the user's limit; None for the usual time.
            least_s: the usual time of a small model.
            latencies: that of a large one, in rounds.
            each: what one of several samplers is, for ``text``.
        """
        self._samplers = samplers
        self._max_s, self._least_s, self._latencies, self._each = max_s, least_s, latencies, each
        self._start = time.perf_counter()
        self.shortest_s = math.inf  # of all rounds

    def block(self, sampler: Sampler | KernelProcess, rounds: int) -> None:
        """Run a block of rounds."""
        self.shortest_s = min(self.shortest_s, sampler.block(rounds))

    @property
    def usual_s(self) -> float:
        """The user's limit, or the usual time."""
        return max(self._least_s, self._latencies * self.shortest_s) if self._max_s is None else self._max_s

    @property
    def spent_share(self) -> float:
        """The fraction of that time that is spent, at most 1."""
        return min(1.0, (time.perf_counter() - self._start) / self.usual_s)

    def is_enough(self) -> bool:
        """Whether all op calls are sampled enough, or the time is up."""
        spent_s, usual_s = time.perf_counter() - self._start, self.usual_s
        if min(sampler.rounds for sampler in self._samplers) < MIN_ROUNDS or spent_s < min(MIN_S, usual_s):
            return False
        return is_over(
            spent_s / usual_s,
            limited=self._max_s is not None,
            clean=not any(sampler.contended for sampler in self._samplers),
            settled=all(sampler.settled for sampler in self._samplers),
        )

    @property
    def text(self) -> str:
        """How many rounds there are."""
        first = self._samplers[0]
        each = f" of each {self._each}" if self._each else ""
        clean = f"{first.clean_rounds} clean of " if first.clean_rounds < first.rounds else ""
        begun = f", going on from {first.earlier_rounds}" if first.earlier_rounds else ""
        return f"{clean}{counted(first.rounds, 'round')}{each}{begun}"
