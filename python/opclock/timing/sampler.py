"""Samples a pool of op calls round by round, each block into the profile."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile
from opclock.profiles.statistics import Samples, rounds_interval
from opclock.timing.binding import BoundPool
from opclock.timing.graph_rounds import GraphRounds
from opclock.timing.host_playback import Host
from opclock.timing.inputs import Arguments
from opclock.timing.recording import PoolRecord
from opclock.timing.rounds import Rounds
from opclock.timing.verification import operator_errors
from opclock.tracing.trace import Trace

WARM_UP_S = 1.0  # at most; the plateau usually ends it earlier
NARROW = 0.01  # half the interval of a round's median, as a fraction: below the repeatability floor


class Sampler:
    """Op calls of one trace at the given positions, timed together; every finished round goes into the profile."""

    def __init__(
        self,
        trace: Trace,
        positions: Sequence[int],
        arguments: Arguments,
        profile: Profile,
        condition: Condition,
        host: Host | None,
        *,
        seed: int = 0,
    ) -> None:
        """Bind and verify the op calls.

        Args:
            trace: whose op calls are timed.
            positions: which of them.
            arguments: of the whole trace, shared by samplers of the same op calls.
            profile: open for writing.
            condition: what the op calls are timed in.
            host: played while a round runs; None for op calls alone.
            seed: of the rounds' order, where it is random.

        Raises:
            OpCallError: an op call cannot be bound or run, or gives another answer than PyTorch's.
        """
        self.trace = trace
        self.condition = condition
        self._host = host
        self._pool = BoundPool(trace, positions, arguments, condition, seed)
        self._graph: GraphRounds | None = None
        self._record = PoolRecord(profile, condition, self._pool, host, seed)
        self.seconds = self._pool.verified_s  # wall time inside the op calls: first runs, warm-up, and rounds

    @property
    def rounds(self) -> int:
        """Finished rounds, those of an interrupted run that goes on included."""
        return len(self._record.rounds_s)

    def warm_up(self) -> None:
        """Run until rounds stop getting faster, then begin or continue the pool in the profile.

        Raises:
            OpCallError: an op call raises.
            ModelError: the condition is "recorded" and the op calls cannot be captured in a graph.
            ProfileError: the profile cannot be written.
        """
        start = time.perf_counter()
        with operator_errors("the pool"):
            self._pool.compiled.warm_up(WARM_UP_S)
            if self.condition.timing == "recorded":
                self._graph = GraphRounds(self._pool.compiled, len(self._pool.keys), self.condition.device)
        if self._host is not None:
            self._round(self._empty(1), 0)  # warms the host too; not kept
        self.seconds += time.perf_counter() - start
        self._record.begin()

    def block(self, rounds: int) -> float:
        """One round that is not kept, then so many that are; returns the median seconds of a kept one.

        The first finds the caches as other work left them (storing the block before, say); a model that runs again
        and again does not. An interruption leaves the finished rounds in the profile.
        """
        start = time.perf_counter()
        kept, done = self._empty(rounds), 0
        try:
            if self.condition.in_order and self._pool.lane == "host":
                self._round(kept, 0)
            for number in range(rounds):
                self._round(kept, number)
                done += 1
        finally:
            self.seconds += time.perf_counter() - start
            self._record.add(kept.first(done))
        return float(np.median(self._record.rounds_s[-rounds:]))

    def replay(self, rounds: int) -> Samples:
        """The op calls in order with no Python between them: seconds, rounds x op calls, after one not kept."""
        seconds = np.empty((rounds, len(self._pool.keys)))
        for number in (0, *range(rounds)):
            self._pool.compiled.begin_round()
            self._pool.compiled.end_round(seconds[number])
        return seconds

    def _empty(self, rounds: int) -> Rounds:
        return Rounds.empty(rounds, len(self._pool.keys), None if self._host is None else len(self._host.kinds))

    def _round(self, rounds: Rounds, number: int) -> None:
        """One round, into the row of this number."""
        seconds, pool = rounds.seconds[number], self._pool.compiled
        if self._graph is not None:
            seconds[:] = self._graph.round_s()
            rounds.control_s[number] = 0.0
        elif self.condition.timing == "back_to_back":
            rounds.control_s[number] = pool.back_to_back(seconds)
        elif self._host is None or rounds.host_s is None:
            pool.begin_round()
            rounds.control_s[number] = pool.end_round(seconds)
        else:
            rounds.control_s[number] = self._host.round(pool, seconds, rounds.host_s[number])

    @property
    def settled(self) -> bool:
        """Whether every distinct op call has been sampled enough, and a whole round, too."""
        if self._graph is None and not self._pool.compiled.settled():
            return False
        low, high = rounds_interval(np.array(self._record.rounds_s))
        return (high - low) / 2 <= NARROW * float(np.median(self._record.rounds_s))

    def end(self) -> tuple[str, tuple[str, ...]]:
        """End the pool in the profile.

        Returns:
            Why sampling stopped ("settled" or "time_cap"), and flags: what was unusual about the board meanwhile.
        """
        ended = "settled" if self.condition.timing == "back_to_back" or self.settled else "time_cap"
        return ended, self._record.end(ended)
