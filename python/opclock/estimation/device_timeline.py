"""The latency of a model on a device beside the host, composed from a profile. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from opclock.estimation.host_costs import HostWork
from opclock.estimation.kernel_times import KernelTimes, Precision, Share
from opclock.estimation.pool_selection import choose_pools
from opclock.estimation.timeline import Timeline, compose, critical_path, replayed_s
from opclock.flags import Flag, ordered
from opclock.profiles.condition import Condition, Timing
from opclock.profiles.pool import Pool, interrupted_after
from opclock.profiles.reader import ProfileReader
from opclock.profiles.statistics import Blocks, Samples, median_interval, typical_round
from opclock.tracing.trace import Trace

NOT_KNOWN = Precision(0.0, 0.0, ("incomplete",))


@dataclass(frozen=True)
class DeviceTimeline:
    """Seconds of one inference in which host and device work at the same time."""

    total_s: float
    ci_low_s: float
    ci_high_s: float
    replay_s: float  # the sum of the device's times; from a recorded graph where one was measured
    replay_ci_s: tuple[float, float]
    lag_s: float  # from enqueueing a call to its start on an idle device, and from its end back to the host
    idle_share: float  # fraction of the time in which the device is idle
    launch_bound_share: float  # fraction of the device's calls that it waited for
    kernel_s: Samples = field(repr=False)  # by op call: what its kernel adds to the total
    host_s: Samples = field(repr=False)  # by op call, and after the last: what the host adds to the total
    device_s: Samples = field(repr=False)  # by op call: the device's own time
    enqueue_s: Samples = field(repr=False)  # by op call: the host's time to enqueue it
    own_s: Samples = field(repr=False)  # by op call, and after the last: the host's own work before it
    waits: tuple[bool, ...] = field(repr=False)  # by op call: whether the host waits for the device
    device: tuple[Precision, ...] = field(repr=False)  # by op call: how well the device's own time is known
    unknown: frozenset[str] = frozenset()  # keys of op calls that were not measured
    flags: tuple[Flag, ...] = ()
    modelled_host_s: float = 0.0  # of the host's part: what comes from the table by kind of call
    interrupted_after: int | None = None  # rounds, where a measurement did not end (the fewest of several)

    @property
    def busy_s(self) -> float:
        """Seconds in which the device executes."""
        return float(self.device_s.sum())

    def typical(self) -> tuple[Samples, Timeline]:
        """The typical inference, scaled to take the total.

        Returns:
            Seconds of the host's own work before each op call and after the last, and a timeline of one round.
        """
        once = self._composed(1.0)
        scale = self.total_s / float(once.total_s[0]) if once.total_s[0] > 0 else 1.0
        return self.own_s * scale, self._composed(scale)

    def _composed(self, scale: float) -> Timeline:
        own_s = self.own_s[None, :] * scale
        return compose(own_s[:, :-1], self.enqueue_s[None, :] * scale, self.device_s[None, :] * scale, self.waits,
                       tail_s=own_s[:, -1], lag_s=np.array([self.lag_s * scale]))  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, a part of an estimate's data."""
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
    """Samples of a model's op calls in one timing."""

    rounds_s: Samples  # rounds x calls; one row of medians where the calls come from several pools
    pools: dict[str, Pool]  # by the key of the op call
    blocks: Blocks | None  # by round
    interval_s: tuple[float, float]  # of the sum

    @property
    def paired(self) -> bool:
        """Whether the rows are rounds of one pool."""
        return self.blocks is not None

    def precision(self, trace: Trace) -> tuple[Precision, ...]:
        """How well the time of each op call is known."""
        by_key = {key: Precision.measured(pool, key) for key, pool in self.pools.items()}
        return tuple(by_key.get(traced.call.key, NOT_KNOWN) for traced in trace.calls)

    @staticmethod
    def read(trace: Trace, profile: ProfileReader, condition: Condition, timing: Timing) -> _CallTimes:
        """Read them from the nearest pools; 0 for an op call that no pool has."""
        keys = [traced.call.key for traced in trace.calls]
        pools = choose_pools(trace, profile, replace(condition, timing=timing))
        whole = next((pool for pool in pools.values() if list(pool.keys) == keys), None)
        if whole is not None and all(pool.number == whole.number for pool in pools.values()):
            interval_s = median_interval(whole.seconds.sum(axis=1), blocks=whole.blocks)
            return _CallTimes(whole.seconds, pools, whole.blocks, interval_s)
        medians = {key: float(np.median(pool.seconds[:, pool.positions[key]])) for key, pool in pools.items()}
        row = np.array([[medians.get(key, 0.0) for key in keys]])
        kernels = KernelTimes(trace, pools, {})
        blocks = {pool.number: pool.blocks for pool in pools.values()}
        shares = [Share.of(rounds_s, blocks[number]) for number, rounds_s in kernels.measured_sums().items()]
        # The row adds medians up. Each pool's interval is put around its median, and their widths add up.
        low_s = float(row.sum()) - sum(share.median_s - share.low_s for share in shares)
        high_s = float(row.sum()) + sum(share.high_s - share.median_s for share in shares)
        return _CallTimes(row, pools, None, (max(0.0, low_s), high_s))


@dataclass(frozen=True)
class _Inputs:
    """The times that a timeline is composed of, in seconds."""

    host_s: Samples  # rounds x (calls + 1): the host's own work before each call, and after the last
    enqueue_s: Samples  # rounds x calls
    device_s: Samples  # by call
    waits: list[bool]  # by call: whether the host waits for the device
    lag_s: float
    blocks: Blocks | None  # by round of the host
    by_table: bool  # whether the host's own work comes from the table by kind of call
    host_flags: tuple[Flag, ...]  # of the host's own work
    host_factors: tuple[float, float]  # the ends of the interval of the host's own work, over it, where not by round
    enqueue_factors: tuple[float, float]  # the same for enqueueing

    def compose(self, device: float = 1.0, host: float = 1.0, enqueue: float = 1.0) -> Timeline:
        """The timeline of every round, with the times of each kind multiplied by these factors."""
        rounds, host_s = len(self.host_s), self.host_s * host
        device_s = np.tile(self.device_s * device, (rounds, 1))
        return compose(host_s[:, :-1], self.enqueue_s * enqueue, device_s, self.waits,
                       tail_s=host_s[:, -1], lag_s=np.full(rounds, self.lag_s))  # fmt: skip

    def critical_path(self, total_s: float) -> tuple[Samples, Samples]:
        """What kernel and host of each op call add to the typical round, scaled to add up to the total."""
        host_s, enqueue_s = np.median(self.host_s, axis=0), np.median(self.enqueue_s, axis=0)
        kernel_s, host_part_s = critical_path(host_s, enqueue_s, self.device_s, self.waits, self.lag_s)
        parts_s = float(kernel_s.sum() + host_part_s.sum())
        scale = total_s / parts_s if parts_s > 0 else 1.0
        return kernel_s * scale, host_part_s * scale


def read_timeline(trace: Trace, profile: ProfileReader, condition: Condition) -> DeviceTimeline | None:
    """Compose the times of a model's host and device.

    Every round of the host is composed with the device's typical times. The total is the median of the composed
    rounds. Its interval also covers the interval of the device's times.

    Args:
        trace: the model, on the condition's device.
        profile: the measurements.
        condition: the condition of the host's times, with the timing "in_model".

    Returns:
        The timeline; None where the profile has no device times for the model.

    Raises:
        ProfileError: the profile cannot be read.
        EstimateError: the profile has no host work at all.
    """
    device = _CallTimes.read(trace, profile, condition, "device")
    if not device.pools:
        return None
    enqueue = _CallTimes.read(trace, profile, condition, "in_model")
    recorded = _CallTimes.read(trace, profile, condition, "recorded")
    inputs = _read_inputs(trace, profile, condition, device, enqueue)
    timeline = inputs.compose()
    total_s = float(np.median(timeline.total_s))
    low_s, high_s = _interval(inputs, device.interval_s)
    replayed = recorded if recorded.pools else device
    replays_s = replayed_s(replayed.rounds_s)
    kernel_s, host_s = inputs.critical_path(total_s)
    pools = {pool.number: pool for times in (device, enqueue) for pool in times.pools.values()}
    pool_flags = ordered(flag for pool in pools.values() for flag in pool.flags)
    distant = any(pool.condition.working_set != condition.working_set for pool in device.pools.values())
    distance: tuple[Flag, ...] = ("other_working_set",) if distant else ()
    return DeviceTimeline(
        total_s=total_s,
        ci_low_s=low_s,
        ci_high_s=high_s,
        replay_s=float(np.median(replays_s)),
        replay_ci_s=replayed.interval_s,
        lag_s=inputs.lag_s,
        idle_share=timeline.idle_share,
        launch_bound_share=timeline.launch_bound_share,
        kernel_s=kernel_s,
        host_s=host_s,
        device_s=inputs.device_s,
        enqueue_s=np.median(inputs.enqueue_s, axis=0),
        own_s=np.median(inputs.host_s, axis=0),
        waits=tuple(inputs.waits),
        device=device.precision(trace),
        unknown=frozenset(trace.unique) - (set(device.pools) & set(enqueue.pools)),
        flags=ordered([*pool_flags, *inputs.host_flags, *distance]),
        modelled_host_s=_own_work_s(inputs, host_s) if inputs.by_table else 0.0,
        interrupted_after=interrupted_after(pools.values()),
    )


def _own_work_s(inputs: _Inputs, host_s: Samples) -> float:
    """Of the host's part of the total: its own work, without enqueueing, where the path goes through the host."""
    own_s = np.median(inputs.host_s, axis=0)
    return float(np.minimum(own_s, host_s).sum())


def _read_inputs(
    trace: Trace, profile: ProfileReader, condition: Condition, device: _CallTimes, enqueue: _CallTimes
) -> _Inputs:
    waiting = {key for pool in device.pools.values() for key in pool.context.get("waits", ())}
    waits = [traced.call.key in waiting for traced in trace.calls]
    device_s = typical_round(device.rounds_s)
    isolated = _CallTimes.read(trace, profile, condition, "isolated")
    lag_s = _lag(trace, waits, np.median(enqueue.rounds_s, axis=0), device_s, np.median(isolated.rounds_s, axis=0))
    host = HostWork.read(trace, profile, condition, enqueue.pools.values())
    if host.pool is not None and {pool.number for pool in enqueue.pools.values()} == {host.pool} and enqueue.paired:
        return _Inputs(
            host.samples_s,
            enqueue.rounds_s,
            device_s,
            waits,
            lag_s,
            enqueue.blocks,
            False,
            host.flags,
            (1.0, 1.0),
            (1.0, 1.0),
        )
    # From different pools: their rounds cannot be paired. Each has its own interval.
    host_s, enqueue_s = (np.median(rows, axis=0)[None, :] for rows in (host.samples_s, enqueue.rounds_s))
    return _Inputs(host_s, enqueue_s, device_s, waits, lag_s, None, host.pool is None, host.flags,
                   _factors(host.interval_s, host.total_s),
                   _factors(enqueue.interval_s, float(np.median(enqueue.rounds_s.sum(axis=1)))))  # fmt: skip


def _factors(interval_s: tuple[float, float], middle_s: float) -> tuple[float, float]:
    return (interval_s[0] / middle_s, interval_s[1] / middle_s) if middle_s > 0 else (1.0, 1.0)


def _interval(inputs: _Inputs, device_s: tuple[float, float]) -> tuple[float, float]:
    """The interval of the total: all lanes at the fast end of their intervals, and all at the slow end."""
    ends = zip(_factors(device_s, float(inputs.device_s.sum())), inputs.host_factors, inputs.enqueue_factors,
               strict=True)  # fmt: skip
    low_s, high_s = (inputs.compose(*factors).total_s for factors in ends)
    return median_interval(low_s, blocks=inputs.blocks)[0], median_interval(high_s, blocks=inputs.blocks)[1]


def _lag(trace: Trace, waits: list[bool], enqueue_s: Samples, device_s: Samples, isolated_s: Samples) -> float:
    """The median lag: what a launching call takes in isolation beyond its enqueueing and its time on the device."""
    alone = np.array([traced.launches and not waiting for traced, waiting in zip(trace.calls, waits, strict=True)])
    if not alone.any() or not isolated_s.any():
        return 0.0
    return max(0.0, float(np.median((isolated_s - enqueue_s - device_s)[alone])))
