"""The times of a model's kernels from a profile: measured, or else predicted from sweeps."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from opclock import arithmetic
from opclock.errors import EstimateError
from opclock.estimation.pool_selection import choose_pools
from opclock.estimation.predicted_faults import PredictedFaults
from opclock.flags import Flag, ordered, precision_flags
from opclock.prediction.class_model import Spread
from opclock.prediction.predictor import Prediction, Predictor
from opclock.profiles.condition import Condition
from opclock.profiles.machine_state import MachineState
from opclock.profiles.pool import Pool
from opclock.profiles.processes import Processes, middle, middle_interval
from opclock.profiles.reader import ProfileReader
from opclock.profiles.shift import Shift
from opclock.profiles.state_change import StateChange
from opclock.profiles.statistics import Blocks, Samples
from opclock.tracing.trace import Trace

Source = Literal["measured", "modelled", "unknown"]


@dataclass(frozen=True)
class Share:
    """A part of the total with its 95 % interval, in seconds."""

    median_s: float
    low_s: float
    high_s: float
    shift: Shift | None = None  # from the state of the machine in which it was timed

    @staticmethod
    def of(rounds_s: Samples, blocks: Blocks | None = None, processes: Processes | None = None) -> Share:
        """Compute it from the sums of one pool's rounds."""
        low_s, high_s = middle_interval(rounds_s, blocks=blocks, processes=processes)
        return Share(float(middle(rounds_s, processes)), low_s, high_s)

    def widened(self, shift: Shift | None) -> Share:
        """With the error of a shift to another state of the machine."""
        if shift is None:
            return self
        low_s, high_s = shift.widened(self.low_s, self.median_s, self.high_s)
        return replace(self, low_s=low_s, high_s=high_s, shift=shift)


class Precision(NamedTuple):
    """How well the time of one op call is known: its 95 % interval in seconds, and its flags."""

    low_s: float
    high_s: float
    flags: tuple[Flag, ...]

    @staticmethod
    def measured(pool: Pool, key: str) -> Precision:
        """Of an op call in a pool."""
        measurement = pool.measurement(key)
        low_s, high_s = measurement.interval_s
        if pool.shift is not None:
            low_s, high_s = pool.shift.widened(low_s, measurement.median_s, high_s)
        return Precision(low_s, high_s, pool.flags_of(measurement))

    @staticmethod
    def predicted(one: Prediction) -> Precision:
        """Of a prediction."""
        factor = arithmetic.exp(one.spread.call_95)
        low_s, high_s = one.seconds / factor, one.seconds * factor
        return Precision(low_s, high_s, precision_flags(one.seconds, low_s, high_s))


@dataclass(frozen=True)
class KernelTimes:
    """The kernel times of one model, by the key of the op call."""

    trace: Trace
    pools: dict[str, Pool]  # of op calls that were measured
    predictions: dict[str, Prediction]  # of op calls that were not
    learnt_in: MachineState | None = None  # the state of the machine that predictions hold for
    shift: Shift | None = None  # of the predictions, to another state of the machine
    faults: PredictedFaults | None = None  # where no op call was timed in the model's order

    @staticmethod
    def read(trace: Trace, profile: ProfileReader, condition: Condition, *, measured_only: bool) -> KernelTimes:
        """Read them from the nearest pools. For "in_model", sweeps supply missing calls, measured or predicted."""
        pools = choose_pools(trace, profile, condition)
        if condition.timing != "in_model":
            return KernelTimes(trace, pools, {})
        # A sweep may have timed the same op call, but not between this model's other kernels.
        pools = {**choose_pools(trace, profile, replace(condition, timing="interleaved")), **pools}
        missing = {key: traced for traced in trace.calls if (key := traced.call.key) not in pools}
        if not missing or measured_only:
            return KernelTimes(trace, pools, {})
        try:
            predictor = profile.remembered(
                ("predictor", condition.threads, condition.device),
                lambda: Predictor.read(profile, condition.threads, condition.device),
            )
        except EstimateError:
            return KernelTimes(trace, pools, {})
        predictions = predictor.predict(list(missing.values()), condition.working_set, trace.calls)
        in_order = any(pool.condition.timing == "in_model" for pool in pools.values())
        return KernelTimes(
            trace, pools, {key: one for key, one in zip(missing, predictions, strict=True) if one is not None},
            predictor.state, faults=None if in_order else PredictedFaults.read(trace, profile, condition),
        )  # fmt: skip

    def in_state(self, change: StateChange) -> KernelTimes:
        """The same in one state of the machine."""
        working_set = self.trace.working_set.bit_length()
        shift = None if self.learnt_in is None else change.shift_from(self.learnt_in, working_set)
        factor = 1.0 if shift is None else shift.factor
        pools = {key: change.of(pool) for key, pool in self.pools.items()}
        predictions = {key: replace(one, seconds=one.seconds * factor) for key, one in self.predictions.items()}
        faults = None if self.faults is None else self.faults.scaled(factor)
        return replace(self, pools=pools, predictions=predictions, shift=shift, faults=faults)

    @cached_property
    def seconds(self) -> dict[str, float]:
        """Seconds by op call, for the calls that have a time."""
        medians = {key: pool.measurement(key).median_s for key, pool in self.pools.items()}
        return medians | {key: prediction.seconds for key, prediction in self.predictions.items()}

    @cached_property
    def precision(self) -> dict[str, Precision]:
        """How well they are known, by op call."""
        measured = {key: Precision.measured(pool, key) for key, pool in self.pools.items()}
        return measured | {key: Precision.predicted(one) for key, one in self.predictions.items()}

    def source(self, key: str) -> Source:
        """Where the time of an op call comes from."""
        if key in self.pools:
            return "measured"
        return "modelled" if key in self.predictions else "unknown"

    @cached_property
    def _counts(self) -> Counter[str]:
        return Counter(traced.call.key for traced in self.trace.calls)

    def measured_sums(self) -> dict[int, Samples]:
        """By pool: the sum of the op calls that are taken from it, in seconds, by round."""
        sums: dict[int, Samples] = {}
        for key, pool in self.pools.items():
            once = pool.seconds[:, pool.positions[key]].mean(axis=1)
            sums[pool.number] = sums.get(pool.number, np.zeros(len(once))) + self._counts[key] * once
        return sums

    def predicted_share(self) -> Share:
        """The sum of predictions, page faults among them.

        Errors that a kind shares add up; errors of single op calls partly cancel out.
        """
        faults_s = 0.0 if self.faults is None else self.faults.added_s
        by_kind: dict[Spread, list[float]] = {}
        for key, one in self.predictions.items():
            by_kind.setdefault(one.spread, []).append(self._counts[key] * one.seconds)
        total_s = math.fsum(math.fsum(seconds) for seconds in by_kind.values()) + faults_s
        widths_s = [kind.sum_95 * kind.of_sum(seconds) * math.fsum(seconds) for kind, seconds in by_kind.items()]
        factor = arithmetic.exp(math.hypot(*widths_s, faults_s) / total_s) if total_s > 0 else 1.0
        return Share(total_s, total_s / factor, total_s * factor).widened(self.shift)

    def flags(self, condition: Condition) -> tuple[Flag, ...]:
        """The flags of the pools, and of pools with another condition: "other_working_set", "from_sweep"."""
        distant = any(pool.condition.working_set != condition.working_set for pool in self.pools.values())
        swept = any(pool.condition.timing != condition.timing for pool in self.pools.values())
        own = [name for name, holds in (("other_working_set", distant), ("from_sweep", swept)) if holds]
        return ordered([*own, *(flag for pool in self.pools.values() for flag in pool.flags)])
