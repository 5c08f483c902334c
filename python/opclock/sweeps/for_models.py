"""Sweeps for given models: times what would narrow their estimates most, until the time is over."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from opclock.argument_checks import Count, Minutes, checked
from opclock.errors import EstimateError, SweepError
from opclock.estimation.estimate import estimate
from opclock.estimation.kernel_times import KernelTimes
from opclock.estimation.result import Estimate
from opclock.prediction.ceilings import Ceilings
from opclock.prediction.class_model import Spread
from opclock.prediction.training import UNKNOWN_SPREAD
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile
from opclock.progress import Progress, silent
from opclock.sweeps.amount import FOR_PREDICTORS, FOR_ROWS, Amount
from opclock.sweeps.binding import Planned, plan_all
from opclock.sweeps.choosing import Unmeasured, most_useful_first
from opclock.sweeps.configuration import Configuration
from opclock.sweeps.duration import kernel_cost_s, usual_s
from opclock.sweeps.grouping import grouped
from opclock.sweeps.run import Manner, SweepSummary, learn, opened_profile, time_pools
from opclock.timing.ceiling_runs import measure_ceilings
from opclock.timing.host_standin import KindsHost
from opclock.timing.memory_budget import memory_budget_bytes
from opclock.timing.threads import thread_team
from opclock.tracing.op_call import OpCall
from opclock.tracing.trace import Trace

BATCH_S = 20.0  # seconds that are planned at a time: what follows is planned with the pace found so far
PACE = 3.0  # seconds over expected seconds, before the first batch: writing inputs and the host are not expected
FAMILY = "op_call"  # under which a profile keeps op calls that no family of kernels made


@dataclass
class ModelSweep:
    """What a sweep for models did.

    Attributes:
        before: by model, the estimate before it; None where the profile had nothing for the model.
        after: by model, the estimate after it; None where nothing of the model could be timed.
        timed: op calls timed now.
        left: op calls that are predicted still, because the time was over.
        skipped: by reason, how many op calls do not run alone on this machine.
        seconds: wall time of the sweep, without the ceilings and what is learnt from it.
    """

    before: list[Estimate | None]
    after: list[Estimate | None]
    timed: int = 0
    left: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


@checked
def sweep_for(
    models: Sequence[Trace], profile: Profile | str | Path, *, minutes: Minutes, threads: Count | None = None,
    seed: int = 0, progress: Progress = silent,
) -> ModelSweep:  # fmt: skip
    """Time the op calls of models that narrow the intervals of their estimates most, per second of timing.

    Op calls that the profile has, from a sweep or from the model, are not timed. The others are predicted from what
    the profile has, or from the ceilings alone; which of them to time first follows from these predictions, see
    ``opclock.sweeps.choosing``. They are timed in pools, as ``sweep`` does.

    Args:
        models: on the CPU.
        profile: stores every finished round.
        minutes: how long to sweep at most, about. The board's ceilings, where the profile lacks them, come on top.
        threads: PyTorch's threads; the current setting if None.
        seed: for every random order.
        progress: receives a text and the fraction that is done.

    Returns:
        The estimates before and after, and what was timed.

    Raises:
        SweepError: a model is not on the CPU.
        TraceError: no model is given.
        OptionError: no positive number of minutes, or fewer than one thread.
        ProfileError: the profile cannot be written.
    """
    import torch

    if elsewhere := [one for one in models if one.device != "cpu"]:
        raise SweepError(f"{elsewhere[0].model} is traced on {elsewhere[0].device}, and predictions exist for the CPU "
                         "only: measure the model itself")  # fmt: skip
    count = torch.get_num_threads() if threads is None else threads
    with opened_profile(profile) as opened, thread_team(count):
        ceilings = measure_ceilings(opened, count, progress)
        done = ModelSweep(_estimates(models, opened, count), [])
        lacking = _lacking(models, opened, ceilings, done, count)
        amount = FOR_ROWS if PACE * lacking.cost_s(FOR_ROWS) <= 60 * minutes else FOR_PREDICTORS
        manner, working_sets = Manner(amount, KindsHost()), sorted({one.working_set for one in models})

        def timed(kernels: Sequence[Planned]) -> SweepSummary:
            pools = grouped(kernels, working_sets, random.Random(seed), memory_budget_bytes("cpu"))
            return time_pools(pools, opened, manner, count=len(kernels), threads=count, seed=seed)

        _Session(lacking.in_order(amount), lacking.kernels, timed, done, progress).run(60 * minutes)
        if done.timed:
            learn(opened, count, "cpu", progress)
        done.after = _estimates(models, opened, count)
    return done


def _estimates(models: Sequence[Trace], profile: Profile, threads: int) -> list[Estimate | None]:
    def one(model: Trace) -> Estimate | None:
        try:
            return estimate(model, profile, threads=threads, device=model.device, dtype=model.dtype)
        except EstimateError:
            return None

    return [one(model) for model in models]


@dataclass(frozen=True)
class _Lacking:
    """What a profile lacks of models.

    Attributes:
        predictions: by key: seconds, and how far off they may be.
        seconds: by key, and by model: the predicted seconds of all occurrences.
        totals_s: by model, the seconds of the whole.
        kernels: by key, those that PyTorch can plan alone.
    """

    predictions: dict[str, tuple[float, Spread]]
    seconds: dict[str, tuple[float, ...]]
    totals_s: list[float]
    kernels: dict[str, Planned]

    def cost_s(self, amount: Amount) -> float:
        """Seconds that timing all of it takes, about."""
        return math.fsum(kernel_cost_s(self.predictions[key][0], amount) for key in self.kernels)

    def in_order(self, amount: Amount) -> list[Unmeasured]:
        """The most useful first."""
        calls = []
        for key in self.kernels:
            seconds, spread = self.predictions[key]
            calls.append(Unmeasured(key, spread, self.seconds[key], kernel_cost_s(seconds, amount)))
        return list(most_useful_first(calls, self.totals_s))


def _lacking(
    models: Sequence[Trace], profile: Profile, ceilings: Ceilings, done: ModelSweep, threads: int
) -> _Lacking:  # fmt: skip
    predictions = [_predictions(model, profile, ceilings, threads) for model in models]
    counts = [Counter(traced.call.key for traced in model.calls) for model in models]
    every = {key: one for found in predictions for key, one in found.items()}
    seconds = {
        key: tuple(count[key] * found[key][0] if key in found else 0.0
                   for found, count in zip(predictions, counts, strict=True))
        for key in every
    }  # fmt: skip
    totals_s = [
        math.fsum(one[number] for one in seconds.values()) if known is None else known.total_s
        for number, known in enumerate(done.before)
    ]
    calls = {traced.call.key: traced.call for model in models for traced in model.calls if traced.call.key in every}
    planned, refused = plan_all(map(_configuration, calls.values()))
    done.skipped += refused
    return _Lacking(every, seconds, totals_s, {one.call.key: one for one in planned if one.call.key in every})


def _predictions(
    model: Trace, profile: Profile, ceilings: Ceilings, threads: int
) -> dict[str, tuple[float, Spread]]:  # fmt: skip
    """Seconds and their spread for each op call that was not measured; from the ceilings where nothing is learnt."""
    condition = Condition.of("in_model", "cpu", threads, model.working_set)
    times = KernelTimes.read(model, profile, condition, measured_only=False)
    found = {key: (one.seconds, one.spread) for key, one in times.predictions.items()}
    for traced in model.calls:
        if (key := traced.call.key) not in times.seconds:
            found[key] = (usual_s(traced, ceilings), UNKNOWN_SPREAD)
    return found


def _configuration(call: OpCall) -> Configuration:
    """An op call as a point of a sweep, for which it has a name only."""
    return Configuration(FAMILY, (("operator", call.operator), ("call", str(call))), call)


class _Session:
    """Times batches of kernels until the time is over."""

    def __init__(
        self, waiting: Sequence[Unmeasured], kernels: Mapping[str, Planned],
        timed: Callable[[Sequence[Planned]], SweepSummary], done: ModelSweep, progress: Progress,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:  # fmt: skip
        self._waiting, self._kernels = list(waiting), kernels
        self._timed, self._done, self._progress, self._clock = timed, done, progress, clock
        self._pace = PACE

    def run(self, seconds: float) -> None:
        """Time what fits into so many seconds."""
        start = self._clock()
        while batch := self._batch(min(BATCH_S, seconds - (self._clock() - start))):
            spent = self._clock() - start
            self._progress(f"sweep for models: {len(self._waiting) + len(batch)} op calls left", spent / seconds)
            self._time(batch)
            self._pace = max(0.1, (self._clock() - start - spent) / math.fsum(one.cost_s for one in batch))
        self._done.left, self._done.seconds = len(self._waiting), self._clock() - start

    def _batch(self, seconds: float) -> list[Unmeasured]:
        """Take the most useful ones that fit into so many seconds together."""
        batch: list[Unmeasured] = []
        later: list[Unmeasured] = []
        for one in self._waiting:
            expected_s = self._pace * one.cost_s
            fits = expected_s <= seconds
            (batch if fits else later).append(one)
            seconds -= expected_s if fits else 0.0
        self._waiting = later
        return batch

    def _time(self, batch: Sequence[Unmeasured]) -> None:
        summary = self._timed([self._kernels[one.key] for one in batch])
        self._done.timed += summary.timed
        self._done.skipped += summary.skipped
