"""A model on a device beside the host, from a profile: what both lanes take together. Pure, needs no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from opclock.estimation.host_costs import HostTable, host_key, host_kinds
from opclock.estimation.pool_selection import choose_pools
from opclock.estimation.timeline import Lanes, compose, critical_path, replayed_s
from opclock.profiles.condition import Condition
from opclock.profiles.pool import Pool
from opclock.profiles.reader import ProfileReader
from opclock.profiles.statistics import Samples, rounds_interval, typical_round
from opclock.tracing.trace import Trace


@dataclass(frozen=True)
class DeviceLanes:
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
class _Kernels:
    """One timing's samples of a model's op calls."""

    rounds_s: Samples  # rounds x calls, or one row of medians where they are from several pools
    pools: dict[str, Pool]

    @staticmethod
    def read(trace: Trace, profile: ProfileReader, condition: Condition) -> _Kernels:
        """From the nearest pools; 0 for an op call that none has."""
        keys = [traced.call.key for traced in trace.calls]
        pools = choose_pools(trace, profile, condition)
        whole = next((pool for pool in pools.values() if list(pool.keys) == keys), None)
        if whole is not None and all(pool.number == whole.number for pool in pools.values()):
            return _Kernels(whole.seconds, pools)
        medians = {key: float(np.median(pool.seconds[:, pool.positions[key]])) for key, pool in pools.items()}
        return _Kernels(np.array([[medians.get(key, 0.0) for key in keys]]), pools)


def read_lanes(trace: Trace, profile: ProfileReader, condition: Condition) -> DeviceLanes | None:
    """Compose the lanes of a model; None where the profile has no device's own time for it: then there is one lane.

    Every round of the host's lane is composed with the device's typical times; the total is the median of those. Its
    interval is theirs, with the device as fast and as slow as its own interval says.

    Raises ProfileError where the profile cannot be read.
    """
    device = _Kernels.read(trace, profile, replace(condition, timing="device"))
    if not device.pools:
        return None
    enqueue = _Kernels.read(trace, profile, condition)
    isolated = _Kernels.read(trace, profile, replace(condition, timing="isolated"))
    waiting = {key for pool in device.pools.values() for key in pool.context.get("waits", ())}
    waits = [traced.call.key in waiting for traced in trace.calls]
    host_s = _host(trace, profile, condition, enqueue.pools.values())
    enqueue_s = enqueue.rounds_s
    if len(enqueue_s) != len(host_s):
        host_s, enqueue_s = (np.median(rows, axis=0)[None, :] for rows in (host_s, enqueue_s))
    device_s = typical_round(device.rounds_s)
    lag_s = _lag(trace, waits, np.median(enqueue.rounds_s, axis=0), device_s, np.median(isolated.rounds_s, axis=0))

    def composed(scale: float) -> Lanes:
        each = np.tile(device_s * scale, (len(host_s), 1))
        return compose(host_s[:, :-1], enqueue_s, each, waits, tail_s=host_s[:, -1], lag_s=np.full(len(host_s), lag_s))

    lanes = composed(1.0)
    busy_s = float(device_s.sum())
    reach = tuple(edge / busy_s if busy_s > 0 else 1.0 for edge in rounds_interval(device.rounds_s.sum(axis=1)))
    low, high = (composed(edge).total_s for edge in reach)
    recorded = _Kernels.read(trace, profile, replace(condition, timing="recorded"))
    replays_s = replayed_s(recorded.rounds_s if recorded.pools else device.rounds_s)
    total_s = float(np.median(lanes.total_s))
    kernel_s, host_part_s = critical_path(
        np.median(host_s, axis=0), np.median(enqueue_s, axis=0), device_s, waits, lag_s
    )
    parts_s = float(kernel_s.sum() + host_part_s.sum())
    scale = total_s / parts_s if parts_s > 0 else 1.0
    known = set(device.pools) & set(enqueue.pools)
    distant = any(pool.condition.working_set != condition.working_set for pool in device.pools.values())
    return DeviceLanes(
        total_s=total_s,
        ci_low_s=rounds_interval(low)[0],
        ci_high_s=rounds_interval(high)[1],
        replay_s=float(np.median(replays_s)),
        replay_ci_s=rounds_interval(replays_s),
        lag_s=lag_s,
        idle_share=lanes.idle_share,
        launch_bound_share=lanes.launch_bound_share,
        kernel_s=kernel_s * scale,
        host_s=host_part_s * scale,
        device_s=device_s,
        enqueue_s=np.median(enqueue_s, axis=0),
        unknown=frozenset(trace.unique) - known,
        flags=("other_working_set",) if distant else (),
    )


def _host(trace: Trace, profile: ProfileReader, condition: Condition, kernels: Iterable[Pool]) -> Samples:
    """Seconds of host work before each op call and after the last: the rounds it was played in, or one row by kind."""
    table = HostTable(profile, condition)
    played = table.played(host_key(trace), kernels)
    if played is None:
        return np.array([[table.kind_s(kind) for kind in host_kinds(trace)]])
    return played.host_s


def _lag(trace: Trace, waits: list[bool], enqueue_s: Samples, device_s: Samples, isolated_s: Samples) -> float:
    """What a call takes alone beyond its enqueueing and its time on the device: the median of those that launch."""
    alone = np.array([traced.launches and not waiting for traced, waiting in zip(trace.calls, waits, strict=True)])
    if not alone.any() or not isolated_s.any():
        return 0.0
    return max(0.0, float(np.median((isolated_s - enqueue_s - device_s)[alone])))
