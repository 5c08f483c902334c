"""The two lanes: on timelines drawn by hand, whose milliseconds stand for seconds, and on any others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opclock.estimation.timeline import compose, critical_path, replayed_s


def laid(host, enqueue, device, waits=None, tail=0.0, lag=0.0):
    rows = [np.array([values], dtype=float) for values in (host, enqueue, device)]
    waiting = [False] * len(host) if waits is None else waits
    return compose(*rows, waiting, tail_s=np.array([tail]), lag_s=np.array([lag]))


def test_a_slow_host_starves_the_device():
    #  host    |--0--|--1--|--2--|          3 each
    #  device        #     #     #          1 each
    lanes = laid([2, 2, 2], [1, 1, 1], [1, 1, 1])
    assert lanes.issued_s.tolist() == [[3, 6, 9]]
    assert lanes.started_s.tolist() == [[3, 6, 9]]
    assert lanes.total_s.tolist() == [10]
    assert lanes.idle_share == pytest.approx(0.7)
    assert lanes.launch_bound_share == 1.0


def test_a_slow_device_is_kept_busy():
    #  host    |0|1|2|                      1 each
    #  device    |---0---|---1---|---2---|  4 each
    lanes = laid([0, 0, 0], [1, 1, 1], [4, 4, 4])
    assert lanes.started_s.tolist() == [[1, 5, 9]]
    assert lanes.total_s.tolist() == [13]
    assert lanes.idle_share == pytest.approx(1 / 13)
    assert lanes.launch_bound_share == pytest.approx(1 / 3)  # the first one alone


def test_a_call_that_waits_joins_the_lanes():
    #  host    |0|1|.......|2|              the host waits in 1, then issues 2
    #  device    |--0--|--1--|  |--2--|
    lanes = laid([0, 0, 0], [1, 1, 1], [3, 3, 3], [False, True, False])
    assert lanes.ended_s.tolist() == [[4, 7, 11]]
    assert lanes.issued_s.tolist() == [[1, 2, 8]]
    assert lanes.total_s.tolist() == [11]


def test_views_run_nothing_on_the_device():
    lanes = laid([1, 1], [1, 1], [5, 0])
    assert lanes.total_s.tolist() == [7]
    assert lanes.busy_s.tolist() == [5]
    assert lanes.launch_bound_share == 1.0  # of the one call that runs


def test_a_view_that_waits_waits_for_what_runs_before_it():
    assert laid([0, 0, 0], [1, 1, 1], [5, 0, 1], [False, True, False]).total_s.tolist() == [8]


def test_the_lag_counts_once_on_a_busy_device():
    assert laid([0, 0], [1, 1], [4, 4], lag=2).total_s.tolist() == [11]  # 1 + 2 + 4 + 4
    assert laid([0, 3], [1, 1], [1, 1], lag=2).total_s.tolist() == [8]  # issued at 5, begun at 7
    assert laid([0], [1], [4], [True], lag=2).total_s.tolist() == [7]  # alone: enqueue + lag + device


def test_the_host_s_work_at_the_end():
    assert laid([0], [1], [2], tail=5).total_s.tolist() == [6]
    assert laid([0], [1], [9], tail=5).total_s.tolist() == [10]


def test_a_graph_is_the_device_alone():
    assert replayed_s(np.array([[1.0, 2.0], [3.0, 4.0]])).tolist() == [3.0, 7.0]


def test_nothing_at_all():
    lanes = laid([], [], [])
    assert lanes.total_s.tolist() == [0]
    assert lanes.idle_share == lanes.launch_bound_share == 0.0


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        laid([1, 1], [1], [1, 1])
    with pytest.raises(ValueError, match="negative"):
        laid([-1], [1], [1])


times = st.floats(0, 10)
calls = st.lists(st.tuples(times, times, times, st.booleans()), max_size=12)


def laid_rows(rows, tail=0.0, lag=0.0):
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
    assert laid_rows(rows, tail, lag).total_s[0] == pytest.approx(simulated(rows, tail, lag))


@given(calls, times)
def test_no_shorter_than_either_lane_and_no_longer_than_both(rows, tail):
    total_s = laid_rows(rows, tail).total_s[0]
    host_s, device_s = sum(row[0] + row[1] for row in rows) + tail, sum(row[2] for row in rows)
    assert max(host_s, device_s) <= total_s + 1e-9
    assert total_s <= host_s + device_s + 1e-9


@given(calls, times)
def test_waiting_everywhere_is_one_after_the_other(rows, tail):
    rows = [(host, enqueue, device, True) for host, enqueue, device, _ in rows]
    assert laid_rows(rows, tail).total_s[0] == pytest.approx(sum(map(sum, (row[:3] for row in rows))) + tail)


@given(calls)
def test_a_host_that_takes_no_time_leaves_the_graph(rows):
    rows = [(0.0, 0.0, device, False) for _, _, device, _ in rows]
    device_s = np.array([[row[2] for row in rows]]).reshape(1, len(rows))
    assert laid_rows(rows).total_s[0] == pytest.approx(replayed_s(device_s)[0])


@given(calls, st.integers(0, 11), st.integers(0, 2), times)
def test_a_longer_part_never_makes_it_shorter(rows, which, part, more):
    if not rows:
        return
    longer = [list(row) for row in rows]
    longer[which % len(rows)][part] += more
    assert laid_rows(longer).total_s[0] >= laid_rows(rows).total_s[0] - 1e-9


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
        assert laid_rows(same_waits).total_s[0] == pytest.approx(total_s)


@given(calls, times, times)
def test_the_critical_path_adds_up_to_the_total(rows, tail, lag):
    host = np.array([*(row[0] for row in rows), tail], dtype=float)
    enqueue, device = (np.array([row[i] for row in rows], dtype=float) for i in (1, 2))
    kernels_s, hosts_s = critical_path(host, enqueue, device, [row[3] for row in rows], lag)
    assert kernels_s.sum() + hosts_s.sum() == pytest.approx(laid_rows(rows, tail, lag).total_s[0])
    assert (kernels_s >= 0).all()
    assert (hosts_s >= 0).all()
    assert (kernels_s <= device + 1e-9).all()


def test_a_kernel_that_nothing_waits_for_is_not_on_the_critical_path():
    kernels_s, hosts_s = critical_path(np.array([9.0, 9, 9]), np.array([1.0, 1]), np.array([2.0, 2]), [False] * 2, 0.5)
    assert kernels_s.tolist() == [0, 0]
    assert hosts_s.tolist() == [10, 10, 9]
