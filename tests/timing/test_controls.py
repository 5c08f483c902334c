import pytest

pytest.importorskip("torch")

from opclock.timing import controls
from opclock.timing.controls import EVERY_S, Controls, sample_controls


def of(monkeypatch, switches):
    """One workload that takes no time, and the kernel's count of switches as scripted."""
    counts = iter(switches)
    monkeypatch.setattr(controls, "workloads", lambda: {"one": lambda: None})
    monkeypatch.setattr(controls, "involuntary_switches", lambda: next(counts))


def test_every_workload_runs():
    controls.workloads.cache_clear()
    for run in controls.workloads().values():
        run()


def test_a_run_that_lost_a_core_does_not_count(monkeypatch):
    of(monkeypatch, [0, 0, 0, 1, 1, 1])
    assert list(sample_controls()) == ["one"]


def test_a_workload_that_lost_a_core_twice_is_left_out(monkeypatch):
    of(monkeypatch, [0, 0, 0, 1, 1, 2])
    assert sample_controls() == {}


def test_controls_are_sampled_at_most_every_half_second(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(controls.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(controls, "sample_controls", lambda: {"one": 1.0})
    due = Controls()
    assert due.sample_if_due() == {"one": 1.0}
    assert due.sample_if_due() == {}
    now[0] += EVERY_S
    assert due.sample_if_due() == {"one": 1.0}
