"""Samples a pool of op calls round by round, and stores each block in the profile."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from opclock.board.contention import Contention
from opclock.flags import Flag
from opclock.profiles.condition import Condition
from opclock.profiles.disturbance import MIN_CLEAN
from opclock.profiles.profile import Profile
from opclock.profiles.statistics import Samples
from opclock.profiles.watch import Watch, rounds_together
from opclock.timing.binding import BoundPool
from opclock.timing.block_warm_up import BlockWarmUp
from opclock.timing.controls import Controls
from opclock.timing.graph_rounds import GraphRounds
from opclock.timing.host_playback import Host
from opclock.timing.inputs import Arguments
from opclock.timing.own_weights import OwnWeights
from opclock.timing.recording import PoolRecord
from opclock.timing.rounds import Rounds
from opclock.timing.stopping import Looks
from opclock.timing.verification import operator_errors
from opclock.timing.watching import is_sampled
from opclock.tracing.trace import Trace

TRIAL_ROUNDS = 3
WARM_UP_S = 1.0  # at most; it ends earlier where rounds no longer get faster


class Sampler:
    """Times op calls of one trace together. Every finished round goes into the profile."""

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
        process: int = 0,
        block_warm_up: BlockWarmUp | None = None,
    ) -> None:
        """Bind and verify the op calls.

        Args:
            trace: the model.
            positions: positions of the op calls to time.
            arguments: real arguments for the trace; samplers of the same op calls share them.
            profile: open for writing.
            condition: how the op calls are timed.
            host: played during rounds; None for op calls alone.
            seed: for the order of rounds, where it is random.
            process: this process's number, from 1, where several take turns in one pool; 0 where this one does all.
            block_warm_up: before each block; as long as for most models if None.

        Raises:
            OpCallError: memory is short, or an op call's answer differs from PyTorch's.
        """
        self.trace = trace
        self.condition = condition
        self._host = host
        self._pool = BoundPool(trace, positions, arguments, condition, seed)
        self._graph: GraphRounds | None = None
        self._record = PoolRecord(profile, condition, self._pool, host, seed, process)
        self._contention = Contention()
        watching = condition.threads if is_sampled(condition, host) else None
        whole = watching is not None and len(positions) == len(trace.calls)
        weights = OwnWeights(trace, arguments.weights) if whole else None
        self._controls = Controls(self._contention, watching=watching, weights=weights)
        self._looks = Looks()
        self._block_warm_up = block_warm_up or BlockWarmUp()
        self.unknown = tuple(arguments.unknown.values())  # op calls that cannot be timed, and why
        self.seconds = self._pool.verified_s  # wall time of first runs, warm-up and rounds

    @property
    def rounds(self) -> int:
        """Finished rounds, including those of an earlier, interrupted run that is continued."""
        return self._record.rounds

    @property
    def clean_rounds(self) -> int:
        """Those of them that no other program disturbed. Only they count."""
        return len(self._record.clean_s)

    @property
    def earlier_rounds(self) -> int:
        """Those of the finished rounds that an interrupted measurement had taken, after the warm-up."""
        return self._record.earlier_rounds

    @property
    def contended(self) -> bool:
        """Whether too few rounds are clean."""
        return self._record.contended

    @property
    def process(self) -> int:
        """The number of this process in the pool, after the warm-up; 0 where it takes all rounds."""
        return self._record.process

    @property
    def number(self) -> int:
        """The pool's number in the profile, after the warm-up."""
        return self._record.number

    def warm_up(self, pool: int | None = None) -> None:
        """Run until rounds stop getting faster, then start or continue the pool in the profile.

        Args:
            pool: the number of the pool, where another process started it.

        Raises:
            OpCallError: an op call raises.
            ModelError: the condition is "recorded" and the op calls cannot be captured in a graph.
            ProfileError: the profile cannot be written.
        """
        start = time.perf_counter()
        with operator_errors("the pool"):
            # Among host work, as in a model: a second call in a row would find its code and data in the caches.
            self._pool.compiled.warm_up(WARM_UP_S, once=self._host is not None)
            if self.condition.timing == "recorded":
                self._graph = GraphRounds(self._pool.compiled, len(self._pool.keys), self.condition.device)
        if self._host is not None:
            self._discarded_round(self._empty(1))  # warms up the host too
        self.seconds += time.perf_counter() - start
        self._record.begin(pool)

    def usual_round_s(self) -> float:
        """Run a few rounds that are not kept. Returns the wall seconds of the middle one."""
        seconds = np.empty(TRIAL_ROUNDS)
        for number in range(TRIAL_ROUNDS):
            start = time.perf_counter()
            self._discarded_round(self._empty(1))
            seconds[number] = time.perf_counter() - start
        self.seconds += float(seconds.sum())
        return float(np.median(seconds))

    def block(self, rounds: int) -> float:
        """Run rounds that are not kept, then ``rounds`` that are. Returns the seconds of the shortest of these.

        The first rounds find the caches as other work left them, such as control workloads or storing the previous
        block. Between rounds the kernel is asked whether other programs disturbed them; a disturbed round is stored,
        but does not count. Short rounds share a reading, and one before them is not kept either. After an interruption,
        the finished rounds are in the profile.
        """
        start = time.perf_counter()
        kept, watch = self._empty(rounds), None
        controls = self._controls.sample_if_due()
        try:
            together = self._first_rounds(kept)
            watch = Watch(self._contention, rounds)
            while watch.rounds < rounds:
                several = range(watch.rounds, min(watch.rounds + together, rounds))
                unkept = int(together > 1)
                self._rounds(kept, several, unkept)
                watch.rounds_ended(len(several), unkept=unkept)
                if self._counts_for_stopping and watch.last_disturbed:
                    self._pool.compiled.discard_last(len(several))
        finally:
            self._block_warm_up.block_ended()
            self.seconds += time.perf_counter() - start
            if watch is not None:
                self._record.add(kept.first(watch.rounds), watch.block_ended(), controls)
        return float(np.min(kept.total_s))

    @property
    def _counts_for_stopping(self) -> bool:
        return self._graph is None and self.condition.timing != "back_to_back"

    def replay(self) -> Samples:
        """Run the op calls once in order without Python between them. Returns seconds by op call."""
        seconds = np.empty(len(self._pool.keys))
        self._pool.compiled.begin_round()
        self._pool.compiled.end_round(seconds)
        self._pool.compiled.discard_last()  # kernels without the host between them are another condition
        return seconds

    def _empty(self, rounds: int) -> Rounds:
        return Rounds.empty(rounds, len(self._pool.keys), None if self._host is None else len(self._host.kinds))

    def _first_rounds(self, rounds: Rounds) -> int:
        """Run rounds that are not kept, where that matters. Returns how many rounds share a reading."""
        if self._pool.lane != "host" or self.condition.timing == "back_to_back":
            return 1
        if self.condition.in_order:
            self._block_warm_up.run(partial(self._discarded_round, rounds))
        else:  # op calls of no model, in another order each time
            self._discarded_round(rounds)
        return rounds_together(float(rounds.first(1).total_s[0]))

    def _rounds(self, rounds: Rounds, numbers: range, unkept: int = 0) -> None:
        """Run rounds that are not kept, then fill in the rows of these numbers."""
        if self._host is not None and rounds.host_s is not None and self._counts_for_stopping:
            rows = slice(numbers.start, numbers.stop)
            self._host.rounds(
                self._pool.compiled, rounds.seconds[rows], rounds.host_s[rows], rounds.control_s[rows], unkept
            )
            return
        for _ in range(unkept):
            self._discarded_round(rounds, numbers.start)
        for number in numbers:
            self._round(rounds, number)

    def _discarded_round(self, rounds: Rounds, number: int = 0) -> None:
        """Run one round that is not stored, so that it does not count for stopping. The row of this number is free."""
        self._rounds(rounds, range(number, number + 1))
        if self._counts_for_stopping:
            self._pool.compiled.discard_last()

    def _round(self, rounds: Rounds, number: int) -> None:
        """Run one round without a host and fill in the row of this number."""
        seconds, pool = rounds.seconds[number], self._pool.compiled
        if self._graph is not None:
            seconds[:] = self._graph.round_s()
            rounds.control_s[number] = 0.0
        elif self.condition.timing == "back_to_back":
            rounds.control_s[number] = pool.back_to_back(seconds)
        else:
            pool.begin_round()
            rounds.control_s[number] = pool.end_round(seconds)

    @property
    def settled(self) -> bool:
        """Whether every distinct op call and the whole round have been sampled enough."""
        if self.clean_rounds < MIN_CLEAN or (self._graph is None and not self._pool.compiled.settled()):
            return False
        return self._looks.settled(np.array(self._record.clean_s), np.array(self._record.blocks))

    def end(
        self,
        *,
        settled: bool | None = None,
        model_faults: Mapping[int, float] | None = None,
        model_flags: Sequence[Flag] = (),
    ) -> tuple[str, tuple[Flag, ...]]:
        """End the pool in the profile.

        Args:
            settled: whether all processes that took turns in the pool sampled enough; None: this one took all rounds.
            model_faults: page faults of one inference, by the number of the process that counted them.
            model_flags: of the model itself, whose host the pool has.

        Returns:
            Why sampling stopped ("settled", "time_cap" or "contended"), and the flags.
        """
        if settled is not None:
            self._record.count()
        done = self.condition.timing == "back_to_back" or (self.settled if settled is None else settled)
        ended = "contended" if self._record.contended else "settled" if done else "time_cap"
        return ended, self._record.end(ended, model_faults or {}, model_flags)
