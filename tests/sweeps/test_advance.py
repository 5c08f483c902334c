"""How much of a sweep is done, by a scripted clock."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from opclock.formatting import duration
from opclock.sweeps.advance import Advance


def test_progress_counts_the_kernels_of_the_window_that_runs(monkeypatch):
    """It said "0 of 162 kernels" from the start to the end, as all of them were in one window."""
    said = []
    monkeypatch.setattr("opclock.sweeps.advance.time", Mock(**{"perf_counter.return_value": 160.0}))
    advance = Advance(lambda *both: said.append(both), threads=2, count=200, networks=None, began=100.0)
    advance.begin_window(100)
    advance(0.05)
    advance.begin_window(100)
    advance(0.5)
    assert said == [
        ("sweep, 2 threads: 5 of 200 kernels", pytest.approx(0.025)),  # too early to say how long
        (f"sweep, 2 threads: 150 of 200 kernels, {duration(20)} left", pytest.approx(0.75)),
    ]


def test_progress_goes_on_while_networks_are_timed(monkeypatch):
    """Its bar stood still, and then jumped."""
    said = []
    monkeypatch.setattr("opclock.sweeps.advance.time", Mock(**{"perf_counter.return_value": 160.0}))
    monkeypatch.setattr("opclock.sweeps.duration.KERNEL_S", 0.1)
    monkeypatch.setattr("opclock.sweeps.duration.NETWORK_S", 1.0)
    networks = Mock(count=20, tried=5)
    advance = Advance(lambda *both: said.append(both), threads=1, count=200, networks=networks, began=100.0)
    advance.begin_window(100)
    advance()
    networks.tried = 10
    advance()
    begun = "sweep, 1 thread: 100 of 200 kernels"
    assert said == [
        (f"{begun}, 5 of 20 networks, {duration(100)} left", pytest.approx(15 / 40)),
        (f"{begun}, 10 of 20 networks, {duration(60)} left", pytest.approx(20 / 40)),
    ]
