"""Host and device on one timeline: one issues op calls, the other executes them. Pure: seconds in, seconds out.

A call starts on the device when it has been issued and its predecessor has ended; the host goes on at once, unless the
call waits for the device (a copy to the host, ``.item()``). Inference ends when both have ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from opclock.profiles.statistics import Samples


@dataclass(frozen=True)
class Timeline:
    """When things happened, in seconds from the beginning; one row a round, one column an op call."""

    issued_s: Samples  # the host has handed the call over; rounds x calls
    started_s: Samples  # on the device; as ended_s where a call runs nothing there
    ended_s: Samples
    total_s: Samples  # of each round, until host and device have ended

    @property
    def busy_s(self) -> Samples:
        """Of each round, the seconds in which the device executed."""
        return np.asarray((self.ended_s - self.started_s).sum(axis=1))

    @property
    def idle_share(self) -> float:
        """The fraction of the time in which the device executed nothing, over all rounds."""
        return float(1.0 - self.busy_s.sum() / self.total_s.sum()) if self.total_s.sum() > 0 else 0.0

    @property
    def launch_bound_share(self) -> float:
        """The fraction of the calls on the device that it waited for: issued after their predecessor had ended."""
        on_device = self.ended_s > self.started_s
        before_s = np.zeros_like(self.ended_s)
        before_s[:, 1:] = self.ended_s[:, :-1]
        count = int(on_device.sum())
        return float((on_device & (self.started_s > before_s)).sum() / count) if count else 0.0


def compose(
    host_s: Samples, enqueue_s: Samples, device_s: Samples, waits: Sequence[bool], *, tail_s: Samples, lag_s: Samples
) -> Timeline:
    """Lay the calls of every round into the two timeline.

    Args:
        host_s: the host's own work before each call, rounds x calls.
        enqueue_s: of each call on the host, until it returns with the work only handed over; rounds x calls.
        device_s: of each call on the device, 0 where it runs nothing there; rounds x calls.
        waits: by call, whether the host waits until the device has done it.
        tail_s: the host's work after the last call, by round.
        lag_s: from handing a call over to its start on an idle device, and back; by round. What a call takes when it is
            issued and waited for alone, beyond its enqueueing and its time on the device.

    Returns:
        When each call was issued, started and ended, and the total of each round.

    Raises:
        ValueError: the shapes do not fit, or a time is negative.
    """
    if not host_s.shape == enqueue_s.shape == device_s.shape == (len(tail_s), len(waits)) or len(lag_s) != len(tail_s):
        raise ValueError(f"shapes {host_s.shape}, {enqueue_s.shape}, {device_s.shape}, {len(waits)} calls and "
                         f"{len(tail_s)} rounds do not fit")  # fmt: skip
    if any(np.any(values < 0) for values in (host_s, enqueue_s, device_s, tail_s, lag_s)):
        raise ValueError("a time is negative")
    issued_s, started_s, ended_s = (np.empty_like(host_s) for _ in range(3))
    now_s, free_s = np.zeros(len(tail_s)), np.zeros(len(tail_s))  # of the host and of the device
    for call, waiting in enumerate(waits):
        now_s = now_s + host_s[:, call] + enqueue_s[:, call]
        issued_s[:, call] = now_s
        runs = device_s[:, call] > 0
        begin_s = np.where(runs, np.maximum(now_s + lag_s, free_s), free_s)
        free_s = begin_s + device_s[:, call]
        started_s[:, call], ended_s[:, call] = begin_s, free_s
        if waiting:
            now_s = np.maximum(now_s, free_s)
    return Timeline(issued_s, started_s, ended_s, np.maximum(now_s + tail_s, free_s))


def replayed_s(device_s: Samples) -> Samples:
    """Of each round, what a recorded graph of the calls takes: the device's time alone, one call after the other."""
    return np.asarray(device_s.sum(axis=1))


def critical_path(
    host_s: Samples, enqueue_s: Samples, device_s: Samples, waits: Sequence[bool], lag_s: float
) -> tuple[Samples, Samples]:  # fmt: skip
    """By op call what its kernel and the host have on the critical path of one inference; they add up to its total.

    Followed from the end: a kernel that began when the one before had ended waited for that one, any other for the
    host; and the host waited for a kernel only in a call that waits.

    Args:
        host_s: the host's own work before each call, and after the last.
        enqueue_s: of each call on the host.
        device_s: of each call on the device.
        waits: by call, whether the host waits until the device has done it.
        lag_s: from handing a call over to its start on an idle device, and back.

    Returns:
        The kernels' seconds by call, and the host's by call and after the last; the lag is the host's.
    """
    timeline = compose(host_s[None, :-1], enqueue_s[None, :], device_s[None, :], waits,
                    tail_s=host_s[-1:], lag_s=np.array([lag_s]))  # fmt: skip
    issued_s, started_s, ended_s = timeline.issued_s[0], timeline.started_s[0], timeline.ended_s[0]
    before_s = np.concatenate([[0.0], ended_s[:-1]])
    kernels_s, hosts_s = np.zeros_like(device_s), np.zeros_like(host_s)

    def waited(call: int) -> bool:
        return call >= 0 and waits[call] and bool(ended_s[call] > issued_s[call])

    last = len(device_s) - 1
    on_device = last >= 0 and bool(ended_s[last] > issued_s[last] + host_s[-1]) and not waits[last]
    if not on_device:
        hosts_s[-1] = host_s[-1]
        on_device = waited(last)
    for call in range(last, -1, -1):
        if on_device:
            kernels_s[call] = ended_s[call] - started_s[call]
            if started_s[call] <= before_s[call]:
                continue
            hosts_s[call] = lag_s
        hosts_s[call] += host_s[call] + enqueue_s[call]
        on_device = waited(call - 1)
    return kernels_s, hosts_s
