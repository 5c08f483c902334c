"""Trace + Profile → Estimate. Pure: no clock, no torch kernels, no board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from opclock.condition import Condition, Timing
from opclock.errors import EstimateError
from opclock.host_table import HostTable, host_key, host_kinds
from opclock.macs import macs
from opclock.measurement import Pool, Samples, nearest_first, rounds_interval
from opclock.operator_classes import MAC_CLASSES, class_of
from opclock.profile import Profile
from opclock.trace import Trace

HOST = "host"


@dataclass(frozen=True)
class Coverage:
    """Shares of the estimated time, fractions that add up to 1."""

    measured: float
    modelled: float  # the host's cost where it comes from the table by kind of call
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
        }


def choose_pools(trace: Trace, profile: Profile, condition: Condition) -> dict[str, Pool]:
    """For each op call the pool to take it from: the nearest working set, ended before interrupted, then the newest."""
    numbers = profile.pools(condition.timing, condition.device, condition.threads, trace.unique)
    pools = [profile.pool(number) for number in numbers]

    chosen: dict[str, Pool] = {}
    for pool in nearest_first(pools, condition):
        for key in pool.positions:
            if key in trace.unique:
                chosen.setdefault(key, pool)
    return chosen


@dataclass(frozen=True)
class _Sum:
    """One pool's share of the model: its sums over op calls, round by round."""

    rounds_s: Samples

    @property
    def median_s(self) -> float:
        return float(np.median(self.rounds_s))

    @property
    def interval_s(self) -> tuple[float, float]:
        return rounds_interval(self.rounds_s)


def _kernel_sums(trace: Trace, chosen: dict[str, Pool]) -> dict[int, Samples]:
    """By pool: seconds of the model's op calls that it stands for, round by round."""
    counts: dict[str, int] = {}
    for traced in trace.calls:
        counts[traced.call.key] = counts.get(traced.call.key, 0) + 1
    sums: dict[int, Samples] = {}
    for key, pool in chosen.items():
        once = pool.seconds[:, pool.positions[key]].mean(axis=1)
        sums[pool.number] = sums.get(pool.number, np.zeros(len(once))) + counts[key] * once
    return sums


def estimate(
    trace: Trace, profile: Profile, *, threads: int, timing: Timing = "in_model", host: bool = True
) -> Estimate:
    """Compose a model's latency from the profile's measurements.

    Kernels and host are summed round by round, pool by pool, and the median of those sums is taken: what disturbs a
    round disturbs a real inference as well, and a sum of medians would leave it out. The interval is the sum of the
    pools' intervals, as if their errors all pointed one way.

    Args:
        trace: the model.
        profile: opened read-only is enough.
        threads: of PyTorch; measurements with another number do not count.
        timing: the condition to take the kernels from.
        host: whether the host's cost is part of it.

    Raises:
        EstimateError: the profile has nothing at all on this model for this device and number of threads.
        ProfileError: the profile cannot be read.
    """
    condition = Condition.of(timing, trace.device, threads, trace.working_set)
    chosen = choose_pools(trace, profile, condition)
    if not chosen:
        raise EstimateError(
            f"{profile.path} has no measurement of {trace.model} with {threads} threads on {trace.device}; "
            f"run 'opclock measure' with this profile and --threads {threads} first"
        )
    sums = _kernel_sums(trace, chosen)
    host_calls, modelled_host = np.zeros(len(trace.calls) + 1), False
    extra: list[_Sum] = []
    if host:
        table = HostTable.read(profile, condition)
        played = table.played(host_key(trace))
        if played is not None:
            host_calls = np.median(played.host_s, axis=0)
            rounds_s = played.host_s.sum(axis=1)
            if played.number in sums:
                sums[played.number] = sums[played.number] + rounds_s
            else:
                extra.append(_Sum(rounds_s))
        else:
            modelled_host = True
            host_calls = np.array([table.kind_s(kind) for kind in host_kinds(trace)])
            extra.append(_Sum(np.full(1, host_calls.sum())))
    whole = [*(_Sum(rounds_s) for rounds_s in sums.values()), *extra]
    return _assemble(trace, condition, chosen, whole, host_calls, modelled_host)


def _assemble(
    trace: Trace,
    condition: Condition,
    chosen: dict[str, Pool],
    whole: Sequence[_Sum],
    host_calls: Samples,
    modelled_host: bool,
) -> Estimate:
    medians = {key: float(np.median(pool.seconds[:, pool.positions[key]])) for key, pool in chosen.items()}
    total_s = sum(part.median_s for part in whole)
    parts_s = sum(medians.get(traced.call.key, 0.0) for traced in trace.calls) + float(host_calls.sum())
    scale = total_s / parts_s if parts_s > 0 else 1.0
    parts = []
    for position, traced in enumerate(trace.calls):
        median_s = medians.get(traced.call.key)
        kernel_s = None if median_s is None else median_s * scale
        host_s = float(host_calls[position]) * scale
        operator_class = class_of(traced.call)
        parts.append(
            Part(position, traced.module, traced.call.operator, operator_class, macs(traced), kernel_s, host_s)
        )
    unknown = tuple(str(call) for key, call in trace.unique.items() if key not in chosen)
    lost = sum(1 for traced in trace.calls if traced.call.key not in chosen) / max(1, len(trace.calls))
    modelled = float(host_calls.sum()) * scale / total_s * (1 - lost) if modelled_host and total_s > 0 else 0.0
    distant = any(pool.condition.working_set != condition.working_set for pool in chosen.values())
    return Estimate(
        model=trace.model,
        total_s=total_s,
        ci_low_s=sum(part.interval_s[0] for part in whole),
        ci_high_s=sum(part.interval_s[1] for part in whole),
        parts=tuple(parts),
        host_tail_s=float(host_calls[-1]) * scale,
        coverage=Coverage(1 - modelled - lost, modelled, lost),
        unknown=unknown,
        flags=("other_working_set",) if distant else (),
    )
