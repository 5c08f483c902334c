"""Host and device on one timeline: the host issues op calls, the device executes them.

A call starts on the device when it has been issued and the call before it has ended. The host goes on at once, unless
it waits for the device (a copy to the host, ``.item()``). The inference ends when both have ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from opclock.profiles.statistics import Samples


@dataclass(frozen=True)
class Timeline:
    """The times of all events, in seconds from the beginning of a round; one row a round, one column an op call."""

    issued_s: Samples  # the host has enqueued the call; rounds x calls
    started_s: Samples  # on the device; equals ended_s where a call runs nothing there
    ended_s: Samples
    total_s: Samples  # of each round, until host and device have ended

    @property
    def busy_s(self) -> Samples:
        """By round: the seconds in which the device executed."""
        return np.asarray((self.ended_s - self.started_s).sum(axis=1))

    @property
    def idle_share(self) -> float:
        """The fraction of the time in which the device was idle, over all rounds."""
        return float(1.0 - self.busy_s.sum() / self.total_s.sum()) if self.total_s.sum() > 0 else 0.0

    @property
    def launch_bound_share(self) -> float:
        """The fraction of the device's calls that were issued after the call before them had ended."""
        on_device = self.ended_s > self.started_s
        before_s = np.zeros_like(self.ended_s)
        before_s[:, 1:] = self.ended_s[:, :-1]
        count = int(on_device.sum())
        return float((on_device & (self.started_s > before_s)).sum() / count) if count else 0.0


def compose(
    host_s: Samples, enqueue_s: Samples, device_s: Samples, waits: Sequence[bool], *, tail_s: Samples, lag_s: Samples
) -> Timeline:
    """Compose the timeline of every round.

    Args:
        host_s: the host's own work before each call, rounds x calls.
        enqueue_s: the host's time to enqueue each call, rounds x calls.
        device_s: the device's time of each call, 0 where it runs nothing there; rounds x calls.
        waits: by call, whether the host waits until the device has executed it.
        tail_s: the host's work after the last call, by round.
        lag_s: by round, from enqueueing a call to its start on an idle device, and from its end back to the host: what
            a call takes in isolation beyond its enqueueing and its time on the device.
            All times are in seconds.

    Returns:
        When each call was issued, started and ended, and the total of each round.

    Raises:
        ValueError: the shapes differ, or a time is negative.
    """
    if not host_s.shape == enqueue_s.shape == device_s.shape == (len(tail_s), len(waits)) or len(lag_s) != len(tail_s):
        raise ValueError(f"shapes {host_s.shape}, {enqueue_s.shape}, {device_s.shape}, {len(waits)} calls and "
                         f"{len(tail_s)} rounds do not fit")  # fmt: skip
    if any(np.any(values < 0) for values in (host_s, enqueue_s, device_s, tail_s, lag_s)):
        raise ValueError("a time is negative")
    issued_s, started_s, ended_s = (np.empty_like(host_s) for _ in range(3))
    now_s, free_s = np.zeros(len(tail_s)), np.zeros(len(tail_s))  # when the host and the device are free
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
    """By round, the seconds of a recorded graph of the calls: the sum of the device's times, rounds x calls."""
    return np.asarray(device_s.sum(axis=1))


def critical_path(
    host_s: Samples, enqueue_s: Samples, device_s: Samples, waits: Sequence[bool], lag_s: float
) -> tuple[Samples, Samples]:  # fmt: skip
    """Split the total of one inference among kernels and host work on its critical path.

    The path is followed from the end. A kernel that began when the kernel before it ended had waited for that kernel;
    any other kernel had waited for the host. The host waits for a kernel only in calls that wait.

    Args:
        host_s: the host's own work before each call, and after the last.
        enqueue_s: the host's time to enqueue each call.
        device_s: the device's time of each call.
        waits: by call, whether the host waits until the device has executed it.
        lag_s: from enqueueing a call to its start on an idle device, and back to the host. All in seconds.

    Returns:
        Seconds of the kernels by call, and of the host before each call and after the last. The lag counts as host.
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
