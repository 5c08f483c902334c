"""Trace + Profile → Estimate. Pure: no clock, no torch kernels, no board."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from opclock.errors import EstimateError
from opclock.estimation.device_timeline import DeviceLanes, read_lanes
from opclock.estimation.host_costs import HostTable, host_key, host_kinds
from opclock.estimation.pool_selection import choose_pools
from opclock.estimation.predictor import Prediction, Predictor
from opclock.profiles.condition import Condition, Timing
from opclock.profiles.pool import Pool
from opclock.profiles.reader import ProfileReader
from opclock.profiles.statistics import Samples, rounds_interval
from opclock.tracing.macs import macs
from opclock.tracing.operator_classes import MAC_CLASSES, class_of
from opclock.tracing.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

HOST = "host"
TWO_SIDED_95 = 1.96  # standard deviations of a normal distribution that hold 95 % of it
Source = Literal["measured", "modelled", "unknown"]


@dataclass(frozen=True)
class Coverage:
    """Shares of the estimated time, fractions that add up to 1."""

    measured: float
    modelled: float  # op calls predicted from sweeps, and the host where it comes from the table by kind of call
    unknown: float  # the share of op calls that have no number, when any has none


@dataclass(frozen=True)
class Part:
    """The estimated time of one op call of the model, or of the host's work around it."""

    position: int
    module: str
    operator: str
    operator_class: str
    macs: int
    kernel_s: float | None  # None: no number for it
    host_s: float
    source: Source = "measured"  # of kernel_s


@dataclass(frozen=True)
class Estimate:
    """What one inference should take, and where the time goes. Seconds.

    The total is a median of sums (see ``estimate``); the parts are medians, scaled so that they add up to it.
    Where an op call has no number the estimate is incomplete: ``unknown`` names it and the total leaves it out.
    """

    model: str
    total_s: float
    ci_low_s: float
    ci_high_s: float
    parts: tuple[Part, ...]
    host_tail_s: float  # the host's work after the last op call
    coverage: Coverage
    unknown: tuple[str, ...]
    flags: tuple[str, ...] = ()
    lanes: DeviceLanes | None = None  # where a device works beside the host; the parts are then what each adds

    @property
    def complete(self) -> bool:
        """Whether every op call had a number."""
        return not self.unknown

    @cached_property
    def host_s(self) -> float:
        """The host's share of the total."""
        return sum(part.host_s for part in self.parts) + self.host_tail_s

    @cached_property
    def mac_s(self) -> float:
        """Kernels whose work a MAC count sees: convolution and gemm."""
        return sum(part.kernel_s or 0.0 for part in self.parts if part.operator_class in MAC_CLASSES)

    @cached_property
    def non_mac_s(self) -> float:
        """Every other kernel."""
        return sum(part.kernel_s or 0.0 for part in self.parts if part.operator_class not in MAC_CLASSES)

    def by_class(self) -> dict[str, float]:
        """Seconds by operator class, the longest first; the host is one of them."""
        found: dict[str, float] = {}
        for part in self.parts:
            found[part.operator_class] = found.get(part.operator_class, 0.0) + (part.kernel_s or 0.0)
        found[HOST] = self.host_s
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def by_module(self, depth: int = 1) -> dict[str, float]:
        """Seconds by module path cut to this depth, kernels and host together, the longest first."""
        found: dict[str, float] = {}
        for part in self.parts:
            path = ".".join(part.module.split(".")[:depth])
            found[path] = found.get(path, 0.0) + (part.kernel_s or 0.0) + part.host_s
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def to_frame(self) -> pd.DataFrame:
        """One row an op call: position, module, operator, operator_class, macs, kernel_s, host_s."""
        import pandas as pd  # takes a quarter of a second: an estimate needs none of it

        return pd.DataFrame([asdict(part) for part in self.parts])

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, as it stands in a validation's row."""
        return {
            "total_s": self.total_s,
            "ci_low_s": self.ci_low_s,
            "ci_high_s": self.ci_high_s,
            "mac_s": self.mac_s,
            "non_mac_s": self.non_mac_s,
            "host_s": self.host_s,
            "by_class": self.by_class(),
            "coverage": asdict(self.coverage),
            **({} if self.lanes is None else {"lanes": self.lanes.to_json()}),
        }


@dataclass(frozen=True)
class _Share:
    """A part of the total with its interval."""

    median_s: float
    low_s: float
    high_s: float

    @staticmethod
    def of(rounds_s: Samples) -> _Share:
        """From the sums of one pool's rounds."""
        return _Share(float(np.median(rounds_s)), *rounds_interval(rounds_s))


@dataclass(frozen=True)
class _Kernels:
    """What is known of a model's kernels."""

    pools: dict[str, Pool]  # of op calls that were measured
    predictions: dict[str, Prediction]  # of op calls that were not

    def seconds(self) -> dict[str, float]:
        """By op call."""
        found = {key: float(np.median(pool.seconds[:, pool.positions[key]])) for key, pool in self.pools.items()}
        return found | {key: one.seconds for key, one in self.predictions.items()}

    def source(self, key: str) -> Source:
        """Where an op call's time is from."""
        if key in self.pools:
            return "measured"
        return "modelled" if key in self.predictions else "unknown"


def _kernels(trace: Trace, profile: ProfileReader, condition: Condition, *, measured_only: bool) -> _Kernels:
    pools = choose_pools(trace, profile, condition)
    if condition.timing != "in_model":
        return _Kernels(pools, {})
    # A sweep may have met the very same op call, though not in this model's company.
    swept = choose_pools(trace, profile, replace(condition, timing="interleaved"))
    pools = {**swept, **pools}
    missing = {traced.call.key: traced for traced in trace.calls if traced.call.key not in pools}
    if not missing or measured_only:
        return _Kernels(pools, {})
    try:
        predictor = Predictor.train(profile, condition.threads, condition.device)
    except EstimateError:
        if not pools:
            raise
        return _Kernels(pools, {})
    made = predictor.predict(list(missing.values()), condition.working_set)
    return _Kernels(pools, {key: one for key, one in zip(missing, made, strict=True) if one is not None})


def _measured_sums(trace: Trace, pools: dict[str, Pool]) -> dict[int, Samples]:
    """By pool: seconds of the model's op calls that it stands for, round by round."""
    counts = Counter(traced.call.key for traced in trace.calls)
    sums: dict[int, Samples] = {}
    for key, pool in pools.items():
        once = pool.seconds[:, pool.positions[key]].mean(axis=1)
        sums[pool.number] = sums.get(pool.number, np.zeros(len(once))) + counts[key] * once
    return sums


def _modelled(trace: Trace, predictions: dict[str, Prediction]) -> _Share:
    """The sum of predictions: errors that a class shares add up, those of single op calls partly cancel out."""
    counts = Counter(traced.call.key for traced in trace.calls)
    total_s = own = 0.0
    by_class: dict[str, float] = {}
    for key, one in predictions.items():
        seconds = counts[key] * one.seconds
        total_s += seconds
        own += (seconds * one.spread.own) ** 2
        by_class[one.operator_class] = by_class.get(one.operator_class, 0.0) + seconds * one.spread.shared
    deviation = math.sqrt(own + sum(by_class.values()) ** 2) / total_s if total_s > 0 else 0.0
    reach = math.exp(TWO_SIDED_95 * deviation)
    return _Share(total_s, total_s / reach, total_s * reach)


def estimate(
    trace: Trace,
    profile: ProfileReader,
    *,
    threads: int,
    timing: Timing = "in_model",
    host: bool = True,
    measured_only: bool = False,
) -> Estimate:
    """Compose a model's latency from the profile's measurements, and from predictions where it has none.

    Kernels and host are summed round by round, pool by pool, and the median of those sums is taken: what disturbs a
    round disturbs a real inference as well, and a sum of medians would leave it out. Op calls that were not measured
    are predicted from the profile's sweeps. The interval is the sum of the parts' intervals, as if their errors all
    pointed one way.

    Args:
        trace: the model.
        profile: opened read-only is enough.
        threads: of PyTorch; measurements with another number do not count.
        timing: the condition to take the kernels from; only "in_model" is filled up by predictions.
        host: whether the host's cost is part of it.
        measured_only: leave out what was not measured, as unknown.

    Raises:
        EstimateError: the profile has nothing at all on this model for this device and number of threads.
        ProfileError: the profile cannot be read.
    """
    condition = Condition.of(timing, trace.device, threads, trace.working_set)
    if timing == "in_model" and host:
        lanes = read_lanes(trace, profile, condition)
        if lanes is not None:
            return _of_lanes(trace, lanes)
    try:
        kernels = _kernels(trace, profile, condition, measured_only=measured_only)
    except EstimateError:
        kernels = _Kernels({}, {})
    if not kernels.pools and not kernels.predictions:
        raise EstimateError(
            f"{profile.path} has no measurement of {trace.model} with {threads} threads on {trace.device}; "
            f"run 'opclock measure' with this profile and --threads {threads} first, or 'opclock sweep --preset board'"
        )
    sums = _measured_sums(trace, kernels.pools)
    host_calls, modelled_host = np.zeros(len(trace.calls) + 1), False
    shares: list[_Share] = [_modelled(trace, kernels.predictions)] if kernels.predictions else []
    if host:
        table = HostTable(profile, condition)
        played = table.played(host_key(trace), kernels.pools.values())
        if played is not None:
            host_calls = np.median(played.host_s, axis=0)
            rounds_s = played.host_s.sum(axis=1)
            if played.number in sums:
                sums[played.number] = sums[played.number] + rounds_s
            else:
                shares.append(_Share.of(rounds_s))
        else:
            modelled_host = True
            host_calls = np.array([table.kind_s(kind) for kind in host_kinds(trace)])
            shares.append(_Share(*[float(host_calls.sum())] * 3))
    shares = [*(_Share.of(rounds_s) for rounds_s in sums.values()), *shares]
    made = _assemble(trace, condition, kernels, shares, host_calls, modelled_host)
    return replace(made, flags=("emulated", *made.flags)) if profile.board().get("emulator") else made


def _of_lanes(trace: Trace, lanes: DeviceLanes) -> Estimate:
    """The parts are what each op call adds to the latency: they add up to it, whichever lane is the longer one."""
    parts = tuple(
        Part(position, traced.module, traced.call.operator, class_of(traced.call), macs(traced),
             None if traced.call.key in lanes.unknown else float(lanes.kernel_s[position]),
             float(lanes.host_s[position]), "unknown" if traced.call.key in lanes.unknown else "measured")
        for position, traced in enumerate(trace.calls)
    )  # fmt: skip
    return Estimate(
        model=trace.model,
        total_s=lanes.total_s,
        ci_low_s=lanes.ci_low_s,
        ci_high_s=lanes.ci_high_s,
        parts=parts,
        host_tail_s=float(lanes.host_s[-1]),
        coverage=_coverage(parts, lanes.total_s, 0.0),
        unknown=tuple(str(call) for key, call in trace.unique.items() if key in lanes.unknown),
        flags=lanes.flags,
        lanes=lanes,
    )


def _assemble(
    trace: Trace,
    condition: Condition,
    kernels: _Kernels,
    shares: Sequence[_Share],
    host_calls: Samples,
    modelled_host: bool,
) -> Estimate:
    seconds = kernels.seconds()
    total_s = sum(share.median_s for share in shares)
    parts_s = sum(seconds.get(traced.call.key, 0.0) for traced in trace.calls) + float(host_calls.sum())
    scale = total_s / parts_s if parts_s > 0 else 1.0
    parts = tuple(
        Part(
            position,
            traced.module,
            traced.call.operator,
            class_of(traced.call),
            macs(traced),
            seconds[traced.call.key] * scale if traced.call.key in seconds else None,
            float(host_calls[position]) * scale,
            kernels.source(traced.call.key),
        )
        for position, traced in enumerate(trace.calls)
    )
    distant = any(pool.condition.working_set != condition.working_set for pool in kernels.pools.values())
    swept = any(pool.condition.timing != condition.timing for pool in kernels.pools.values())
    return Estimate(
        model=trace.model,
        total_s=total_s,
        ci_low_s=sum(share.low_s for share in shares),
        ci_high_s=sum(share.high_s for share in shares),
        parts=parts,
        host_tail_s=float(host_calls[-1]) * scale,
        coverage=_coverage(parts, total_s, float(host_calls.sum()) * scale if modelled_host else 0.0),
        unknown=tuple(str(call) for key, call in trace.unique.items() if key not in seconds),
        flags=tuple(name for name, set_ in (("other_working_set", distant), ("from_sweep", swept)) if set_),
    )


def _coverage(parts: Sequence[Part], total_s: float, modelled_host_s: float) -> Coverage:
    lost = sum(1 for part in parts if part.source == "unknown") / max(1, len(parts))
    modelled_s = modelled_host_s + sum(part.kernel_s or 0.0 for part in parts if part.source == "modelled")
    modelled = modelled_s / total_s * (1 - lost) if total_s > 0 else 0.0
    return Coverage(1 - modelled - lost, modelled, lost)
