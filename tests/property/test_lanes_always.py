"""What holds of the two lanes whatever the times are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opclock.lanes import compose, replayed_s

times = st.floats(0, 10)
calls = st.lists(st.tuples(times, times, times, st.booleans()), max_size=12)


def laid(rows, tail=0.0, lag=0.0):
    host, enqueue, device = (np.array([[row[i] for row in rows]]).reshape(1, len(rows)) for i in range(3))
    return compose(host, enqueue, device, [row[3] for row in rows], tail_s=np.array([tail]), lag_s=np.array([lag]))


def simulated(rows, tail, lag):
    """The same by a clock that steps from event to event: a host with a program, a device with a queue."""
    now = 0.0
    queue: list[tuple[float, float]] = []  # (ready, work) of every call on the device, in order

    def drained():
        end = 0.0
        for ready, work in queue:
            end = max(end, ready) + work
        return end

    for host, enqueue, device, waits in rows:
        now += host
        now += enqueue
        if device > 0:
            queue.append((now + lag, device))
        if waits:
            now = max(now, drained())
    return max(now + tail, drained())


@given(calls, times, times)
def test_as_a_queue_would_have_it(rows, tail, lag):
    assert laid(rows, tail, lag).total_s[0] == pytest.approx(simulated(rows, tail, lag))


@given(calls, times)
def test_no_shorter_than_either_lane_and_no_longer_than_both(rows, tail):
    total_s = laid(rows, tail).total_s[0]
    host_s, device_s = sum(row[0] + row[1] for row in rows) + tail, sum(row[2] for row in rows)
    assert max(host_s, device_s) <= total_s + 1e-9
    assert total_s <= host_s + device_s + 1e-9


@given(calls, times)
def test_waiting_everywhere_is_one_after_the_other(rows, tail):
    rows = [(host, enqueue, device, True) for host, enqueue, device, _ in rows]
    assert laid(rows, tail).total_s[0] == pytest.approx(sum(map(sum, (row[:3] for row in rows))) + tail)


@given(calls)
def test_a_host_that_takes_no_time_leaves_the_graph(rows):
    rows = [(0.0, 0.0, device, False) for _, _, device, _ in rows]
    device_s = np.array([[row[2] for row in rows]]).reshape(1, len(rows))
    assert laid(rows).total_s[0] == pytest.approx(replayed_s(device_s)[0])


@given(calls, st.integers(0, 11), st.integers(0, 2), times)
def test_a_longer_part_never_makes_it_shorter(rows, which, part, more):
    if not rows:
        return
    longer = [list(row) for row in rows]
    longer[which % len(rows)][part] += more
    assert laid(longer).total_s[0] >= laid(rows).total_s[0] - 1e-9


@given(st.lists(calls, min_size=2, max_size=3))
def test_rounds_know_nothing_of_one_another(rounds):
    count = min(map(len, rounds))
    rounds = [rows[:count] for rows in rounds]
    waits = [row[3] for row in rounds[0]]
    host, enqueue, device = (
        np.array([[row[i] for row in rows] for rows in rounds]).reshape(len(rounds), count) for i in range(3)
    )
    zeros = np.zeros(len(rounds))
    together = compose(host, enqueue, device, waits, tail_s=zeros, lag_s=zeros).total_s
    for rows, total_s in zip(rounds, together, strict=True):
        same_waits = [(*row[:3], waiting) for row, waiting in zip(rows, waits, strict=True)]
        assert laid(same_waits).total_s[0] == pytest.approx(total_s)
