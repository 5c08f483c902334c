"""Measures what timing op calls one by one adds to them.

In a round, each op call passes the playback's dispatch key, its arguments are tensors of its own, and the clock is
read around it. It takes about a microsecond longer than in a real inference, mostly because more code and more
objects go through the caches. How much depends on the board. Here models are run as they are, and then timed op call
by op call in a pool, as the measured model is: the difference is what watching costs. Their kernels do nearly
nothing, so that nothing else differs, and they have as many op calls as real models. Both are done with one thread:
with several, a tiny convolution calls a team of threads, which takes longer than anything else in it, and takes
another time in a pool.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch

from opclock.board.contention import Contention
from opclock.profiles.condition import Condition
from opclock.profiles.disturbance import disturbed
from opclock.profiles.pool import REAL, SINGLE, WATCHED
from opclock.profiles.statistics import Samples
from opclock.profiles.watch import Watch
from opclock.timing.binding import BoundPool
from opclock.timing.host_playback import Host, PlayedHost
from opclock.timing.inputs import Arguments
from opclock.timing.missing import condition_of
from opclock.timing.rounds import Rounds
from opclock.timing.small_models import long_models, small_models
from opclock.timing.threads import thread_team
from opclock.tracing.torch_state import torch_plain

WARM_UP_S = 0.02
REPEATS = 15  # of each small model; by 5, an op call's cost was off by 2 us in one sample of two
LONG_REPEATS = 7  # of those with four times as many op calls
UNKEPT = 3  # before them: the caches are as control workloads and rounds left them


class WatchedModel:
    """One model with tiny kernels, which is run and timed in turn."""

    def __init__(self, host: PlayedHost, threads: int) -> None:
        """Bind its op calls."""
        trace = host.trace
        self.name = trace.model
        self.op_calls = len(trace.calls)
        self._host = host
        arguments = Arguments(trace, host.forward)
        self._pool = BoundPool(trace, range(len(trace.calls)), arguments, condition_of(trace, threads), seed=0)
        self._pool.compiled.warm_up(WARM_UP_S)
        self._rounds = Rounds.empty(LONG_REPEATS, len(trace.calls), len(trace.calls) + 1)

    def real_s(self) -> Samples:
        """The wall seconds of inferences in a row."""
        return _real_s(self._host, LONG_REPEATS)

    def watched_s(self) -> Samples:
        """The same, by the sum of op calls and of the host between them."""
        rounds = self._rounds
        assert rounds.host_s is not None
        self._host.rounds(self._pool.compiled, rounds.seconds, rounds.host_s, rounds.control_s, UNKEPT)
        self._pool.compiled.discard_last(LONG_REPEATS)
        return rounds.total_s


@cache
def watched_models(threads: int) -> tuple[WatchedModel, ...]:
    """Those that are timed both ways, bound once in a process for each number of PyTorch's threads."""
    with torch_plain():
        return tuple(WatchedModel(host, threads) for host in long_models())


def is_sampled(condition: Condition, host: Host | None) -> bool:
    """Whether watching is measured beside a pool: where a host is played, on the CPU."""
    return host is not None and condition.device == "cpu"


def sample_watching(threads: int, contention: Contention) -> dict[str, float]:
    """Time each small model as it is, and two longer ones both ways with one thread, with plain settings.

    Args:
        threads: PyTorch's current number of threads.
        contention: reads the counters of this process.

    Returns:
        By "real NAME", and of the longer ones by "single NAME" and "watched NAME": the median seconds of one inference.
        A model that other programs disturbed is left out.
    """
    real_s, seconds = sample_small_models(contention), dict[str, float]()
    with thread_team(1):
        for model in watched_models(threads):
            ways = (model.real_s, model.watched_s)
            single_s, watched_s = (_median_s(run, contention, LONG_REPEATS) for run in ways)
            if single_s is not None and watched_s is not None:
                seconds |= {SINGLE + model.name: single_s, WATCHED + model.name: watched_s}
    return real_s | seconds


def sample_small_models(contention: Contention) -> dict[str, float]:
    """Time each small model as it is: the part of ``sample_watching`` that shows the machine's state.

    Args:
        contention: reads the counters of this process.

    Returns:
        By "real NAME": the median seconds of one inference. A model that other programs disturbed is left out.
    """
    medians = {
        REAL + host.trace.model: _median_s(partial(_real_s, host, REPEATS), contention, REPEATS)
        for host in small_models()
    }
    return {name: seconds for name, seconds in medians.items() if seconds is not None}


def op_calls(threads: int) -> dict[str, dict[str, int]]:
    """By the name of a model that is timed both ways: how many op calls it has."""
    return {one.name: {"op_calls": one.op_calls} for one in watched_models(threads)}


def _real_s(host: PlayedHost, repeats: int) -> Samples:
    seconds = np.empty(UNKEPT + repeats)
    with torch.inference_mode():
        for number in range(len(seconds)):
            start = time.perf_counter()
            host.forward()
            seconds[number] = time.perf_counter() - start
    return seconds[UNKEPT:]


def _median_s(runs: Callable[[], Samples], contention: Contention, repeats: int) -> float | None:
    """The median of the repeats; None where other programs disturbed them."""
    watch = Watch(contention, repeats)
    seconds = runs()
    watch.rounds_ended(repeats, unkept=UNKEPT)
    return None if disturbed(watch.block_ended()).any() else float(np.median(seconds))
