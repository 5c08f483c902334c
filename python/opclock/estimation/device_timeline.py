"""A model on a device beside the host, from a profile: what both take together. Pure, needs no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from opclock.estimation.host_costs import HostTable, host_key, host_kinds
from opclock.estimation.pool_selection import choose_pools
from opclock.estimation.timeline import Timeline, compose, critical_path, replayed_s
from opclock.profiles.condition import Condition, Timing
from opclock.profiles.pool import Pool
from opclock.profiles.reader import ProfileReader
from opclock.profiles.statistics import Samples, rounds_interval, typical_round
from opclock.tracing.trace import Trace


@dataclass(frozen=True)
class DeviceTimeline:
    """Seconds of one inference, host and device beside one another."""

    total_s: float
    ci_low_s: float
    ci_high_s: float
    replay_s: float  # of the device alone: its times added up, as a recorded graph where they were recorded
    replay_ci_s: tuple[float, float]
    lag_s: float  # from handing a call over to its start on an idle device, and back
    idle_share: float  # of the time, in which the device has nothing to do
    launch_bound_share: float  # of the calls on the device, those that it waited for
    kernel_s: Samples = field(repr=False)  # by op call: what its kernel adds to the total
    host_s: Samples = field(repr=False)  # by op call, and after the last: what the host adds
    device_s: Samples = field(repr=False)  # by op call: the device's own time
    enqueue_s: Samples = field(repr=False)  # by op call: the host's, to hand it over
    unknown: frozenset[str] = frozenset()  # keys of op calls that were not measured
    flags: tuple[str, ...] = ()

    @property
    def busy_s(self) -> float:
        """In which the device executes."""
        return float(self.device_s.sum())

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, as it stands in an estimate's."""
        return {
            "replay_s": self.replay_s,
            "replay_ci_low_s": self.replay_ci_s[0],
            "replay_ci_high_s": self.replay_ci_s[1],
            "busy_s": self.busy_s,
            "lag_s": self.lag_s,
            "idle_share": self.idle_share,
            "launch_bound_share": self.launch_bound_share,
        }


@dataclass(frozen=True)
class _CallTimes:
    """One timing's samples of a model's op calls."""

    rounds_s: Samples  # rounds x calls, or one row of medians where they are from several pools
    pools: dict[str, Pool]  # by the key of the op call

    @staticmethod
    def read(trace: Trace, profile: ProfileReader, condition: Condition, timing: Timing) -> _CallTimes:
        """From the nearest pools; 0 for an op call that none has."""
        keys = [traced.call.key for traced in trace.calls]
        pools = choose_pools(trace, profile, replace(condition, timing=timing))
        whole = next((pool for pool in pools.values() if list(pool.keys) == keys), None)
        if whole is not None and all(pool.number == whole.number for pool in pools.values()):
            return _CallTimes(whole.seconds, pools)
        medians = {key: float(np.median(pool.seconds[:, pool.positions[key]])) for key, pool in pools.items()}
        return _CallTimes(np.array([[medians.get(key, 0.0) for key in keys]]), pools)


@dataclass(frozen=True)
class _Inputs:
    """What a timeline is composed of, in seconds."""

    host_s: Samples  # rounds x (calls + 1): the host's own work before each call, and after the last
    enqueue_s: Samples  # rounds x calls
    device_s: Samples  # by call
    waits: list[bool]  # by call: whether the host waits for the device
    lag_s: float

    def compose(self, device_scale: float = 1.0) -> Timeline:
        """The timeline of every round, with the device's times times this."""
        rounds = len(self.host_s)
        device_s = np.tile(self.device_s * device_scale, (rounds, 1))
        return compose(self.host_s[:, :-1], self.enqueue_s, device_s, self.waits,
                       tail_s=self.host_s[:, -1], lag_s=np.full(rounds, self.lag_s))  # fmt: skip

    def critical_path(self, total_s: float) -> tuple[Samples, Samples]:
        """By op call what kernel and host add to the typical round, scaled to add up to the total."""
        host_s, enqueue_s = np.median(self.host_s, axis=0), np.median(self.enqueue_s, axis=0)
        kernel_s, host_part_s = critical_path(host_s, enqueue_s, self.device_s, self.waits, self.lag_s)
        parts_s = float(kernel_s.sum() + host_part_s.sum())
        scale = total_s / parts_s if parts_s > 0 else 1.0
        return kernel_s * scale, host_part_s * scale


def read_timeline(trace: Trace, profile: ProfileReader, condition: Condition) -> DeviceTimeline | None:
    """Compose a model's host and device; None where the profile has no device's own time for it.

    Every round of the host is composed with the device's typical times; the total is the median of those. Its interval
    is theirs, with the device as fast and as slow as its own interval says.

    Args:
        trace: the model, on the condition's device.
        profile: the measurements.
        condition: of the timing "in_model": the host's.

    Raises:
        ProfileError: the profile cannot be read.
        EstimateError: it has no host work at all.
    """
    device = _CallTimes.read(trace, profile, condition, "device")
    if not device.pools:
        return None
    enqueue = _CallTimes.read(trace, profile, condition, "in_model")
    recorded = _CallTimes.read(trace, profile, condition, "recorded")
    inputs = _read_inputs(trace, profile, condition, device, enqueue)
    timeline = inputs.compose()
    total_s = float(np.median(timeline.total_s))
    low_s, high_s = _interval(inputs, device.rounds_s.sum(axis=1))
    replays_s = replayed_s((recorded if recorded.pools else device).rounds_s)
    kernel_s, host_s = inputs.critical_path(total_s)
    distant = any(pool.condition.working_set != condition.working_set for pool in device.pools.values())
    return DeviceTimeline(
        total_s=total_s,
        ci_low_s=low_s,
        ci_high_s=high_s,
        replay_s=float(np.median(replays_s)),
        replay_ci_s=rounds_interval(replays_s),
        lag_s=inputs.lag_s,
        idle_share=timeline.idle_share,
        launch_bound_share=timeline.launch_bound_share,
        kernel_s=kernel_s,
        host_s=host_s,
        device_s=inputs.device_s,
        enqueue_s=np.median(inputs.enqueue_s, axis=0),
        unknown=frozenset(trace.unique) - (set(device.pools) & set(enqueue.pools)),
        flags=("other_working_set",) if distant else (),
    )


def _read_inputs(
    trace: Trace, profile: ProfileReader, condition: Condition, device: _CallTimes, enqueue: _CallTimes
) -> _Inputs:
    waiting = {key for pool in device.pools.values() for key in pool.context.get("waits", ())}
    waits = [traced.call.key in waiting for traced in trace.calls]
    device_s = typical_round(device.rounds_s)
    isolated = _CallTimes.read(trace, profile, condition, "isolated")
    lag_s = _lag(trace, waits, np.median(enqueue.rounds_s, axis=0), device_s, np.median(isolated.rounds_s, axis=0))
    host_s, enqueue_s = _host(trace, profile, condition, enqueue.pools.values()), enqueue.rounds_s
    if len(enqueue_s) != len(host_s):  # of different pools: no round of one belongs to a round of the other
        host_s, enqueue_s = (np.median(rows, axis=0)[None, :] for rows in (host_s, enqueue_s))
    return _Inputs(host_s, enqueue_s, device_s, waits, lag_s)


def _interval(inputs: _Inputs, device_rounds_s: Samples) -> tuple[float, float]:
    """The interval of the total, from the slowest and fastest that the device's own interval allows."""
    busy_s = float(inputs.device_s.sum())
    scales = tuple(edge / busy_s if busy_s > 0 else 1.0 for edge in rounds_interval(device_rounds_s))
    low, high = (inputs.compose(scale).total_s for scale in scales)
    return rounds_interval(low)[0], rounds_interval(high)[1]


def _host(trace: Trace, profile: ProfileReader, condition: Condition, kernels: Iterable[Pool]) -> Samples:
    """Seconds of host work before each op call and after the last: the rounds it was sampled in, or one row by kind."""
    table = HostTable(profile, condition)
    sampled = table.sampled(host_key(trace), kernels)
    if sampled is None:
        return np.array([[table.kind_s(kind) for kind in host_kinds(trace)]])
    return sampled.host_s


def _lag(trace: Trace, waits: list[bool], enqueue_s: Samples, device_s: Samples, isolated_s: Samples) -> float:
    """What a call takes alone beyond its enqueueing and its time on the device: the median of those that launch."""
    alone = np.array([traced.launches and not waiting for traced, waiting in zip(trace.calls, waits, strict=True)])
    if not alone.any() or not isolated_s.any():
        return 0.0
    return max(0.0, float(np.median((isolated_s - enqueue_s - device_s)[alone])))
