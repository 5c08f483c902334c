"""Everything of one model that a validation compares, sampled block by block in turn."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from opclock.board.accelerator import has_lanes
from opclock.errors import ModelError, OpCallError
from opclock.estimation.estimate import Estimate
from opclock.estimation.host_costs import host_key
from opclock.models.loading import Model
from opclock.profiles.profile import Profile
from opclock.profiles.statistics import Samples
from opclock.progress import Progress
from opclock.timing.graph_reference import GraphRun
from opclock.timing.host_playback import Host, PlayedHost
from opclock.timing.host_standin import host_for
from opclock.timing.inputs import Arguments
from opclock.timing.interleaving import interleave_together
from opclock.timing.measure import condition_of, first_positions, fits, lacking, lane_samplings, timings_of
from opclock.timing.reference import ReferenceRun, forward_of
from opclock.timing.sampler import Sampling
from opclock.tracing.trace import Trace
from opclock.validation.attribution import Explanation

MIN_BLOCKS = 8  # of everything in turn: four a half see a drift that two would miss
MAX_S = 3.8  # of kernel rounds for a small model, and
MAX_LATENCIES = 25  # times its latency for a large one


class _Observers:
    """Two other looks at the op calls that a pool samples, for explaining what the estimate misses."""

    def __init__(self, traced: Trace, kernels: Sampling, host: PlayedHost) -> None:
        self._trace, self._kernels, self._host = traced, kernels, host
        self._replays: list[Samples] = []
        self._observed: list[Samples] = []
        self._observed_host: list[Samples] = []

    def block(self, rounds: int) -> None:
        """So many of each, after one that is not kept."""
        calls = len(self._trace.calls)
        kernel_s, host_s = np.empty((rounds, calls)), np.empty((rounds, calls + 1))
        for number in (0, *range(rounds)):
            self._host.observe(kernel_s[number], host_s[number])
        self._observed.append(kernel_s)
        self._observed_host.append(host_s)
        self._replays.append(self._kernels.replay(rounds))

    def explain(self, made: Estimate, reference_s: float) -> Explanation:
        """What they saw."""
        seen = (np.concatenate(blocks) for blocks in (self._replays, self._observed, self._observed_host))
        return Explanation(self._trace, made, reference_s, *seen)


class InterleavedSession:
    """Everything of one model that is sampled in turn."""

    def __init__(self, model: Model, traced: Trace, profile: Profile, threads: int, seed: int, explain: bool) -> None:
        forward = forward_of(model.module, model.inputs)
        self.reference = ReferenceRun(forward, model.name, traced.device)
        self.flags: list[str] = []
        self.samplings: list[Sampling] = []
        self.observers: _Observers | None = None
        self.graph: GraphRun | None = None
        condition = condition_of(traced, threads)
        self.measured_now = not profile.host_measured(condition, host_key(traced)) or any(
            lacking(traced, profile, condition_of(traced, threads, timing)) for timing in timings_of(traced.device)
        )
        if not self.measured_now:
            self.flags.append("measured_earlier")
        start = time.perf_counter()
        arguments = Arguments(traced)
        if self.measured_now:
            host, remark = host_for(traced, forward)
            self.flags += ["host_by_table"] if remark else []
            self.samplings = _whole(traced, profile, host, threads, seed, arguments)
            self.kernels = self.samplings[0]
            if explain and isinstance(host, PlayedHost) and not has_lanes(traced.device):
                self.observers = _Observers(traced, self.kernels, host)
        self.binding_s = time.perf_counter() - start
        self.beside: list[Sampling] = self.samplings[1:]  # one block of each in every turn
        alone = condition_of(traced, threads, "back_to_back")
        if lacking(traced, profile, alone):
            self.beside.append(Sampling(traced, first_positions(traced), arguments, profile, alone, None, seed=seed))
            self.beside[-1].warm_up()
            self.samplings.append(self.beside[-1])
        if has_lanes(traced.device):
            try:
                self.graph = GraphRun(forward, traced.device, model.name)
            except ModelError:
                self.flags.append("no_graph")

    def run(self, shuffle: random.Random, progress: Progress, text: str, max_s: float | None) -> None:
        """Blocks of everything in a fresh random order, until the kernels are settled or the time is up."""
        turns: list[Callable[[], object]] = [lambda: self.reference.block(0), lambda: self.reference.block(1)]
        if self.graph is not None:
            graph = self.graph
            turns += [lambda: graph.block(0), lambda: graph.block(1)]
        rounds = self.reference.runs
        latency_s = 0.0

        def kernels() -> None:
            nonlocal latency_s
            latency_s = self.kernels.block(rounds)

        if self.measured_now:
            turns.append(kernels)
        if self.observers is not None:
            looks = self.observers
            turns.append(lambda: looks.block(rounds))
        turns += [partial(one.block, rounds if one.condition.in_order else 1) for one in self.beside]
        begin_s, blocks = self._kernel_s(), 0

        def run(turn: Callable[[], object]) -> None:
            nonlocal blocks
            turn()
            blocks += 1

        def spent_share() -> float:
            cap_s = max(MAX_S, MAX_LATENCIES * latency_s) if max_s is None else max_s
            return (self._kernel_s() - begin_s) / cap_s

        def enough() -> bool:
            sampled = not self.measured_now or spent_share() >= 1.0 or self.kernels.settled
            return blocks >= MIN_BLOCKS * len(turns) and sampled

        def report() -> None:
            progress(text, min(1.0, max(blocks / (MIN_BLOCKS * len(turns)) * 0.5, spent_share())))

        interleave_together(turns, run, enough=enough, order=shuffle, progress=report)

    def _kernel_s(self) -> float:
        return self.kernels.seconds if self.measured_now else 0.0

    def end(self) -> float:
        """Close the pools; returns the wall seconds that timing kernels took."""
        for sampling in self.samplings:
            _, flags = sampling.end()
            self.flags += flags
        return self._kernel_s() + (self.binding_s if self.measured_now else 0.0)


def _whole(
    traced: Trace, profile: Profile, host: Host, threads: int, seed: int, arguments: Arguments
) -> list[Sampling]:  # fmt: skip
    """All op calls in one pool, warm, for each timing there is.

    The real model has to fit beside it anyway, and sampling in turn needs it whole. Raises OpCallError where not.
    """
    if has_lanes(traced.device):
        return lane_samplings(traced, profile, host, threads, seed, arguments)
    if not fits(traced):
        raise OpCallError(f"{traced.model} needs more memory than validating allows; 'opclock measure' splits it")
    condition = condition_of(traced, threads)
    whole = Sampling(traced, range(len(traced.calls)), arguments, profile, condition, host, seed=seed)
    whole.warm_up()
    return [whole]
