"""The two lanes on timelines drawn by hand. Milliseconds stand for seconds."""

from __future__ import annotations

import numpy as np
import pytest

from opclock.lanes import compose, replayed_s


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
