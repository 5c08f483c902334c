import itertools
import time

import numpy as np
import pytest

pytest.importorskip("torch")

from opclock.board.contention import Contention, Counters
from opclock.profiles.pool import FAR
from opclock.timing import controls, far_workloads
from opclock.timing.controls import EVERY_S, Controls, sample_controls
from opclock.timing.far_workloads import sample_far_workloads


def sampled(monkeypatch, waits):
    """What one workload that takes no time gives, where threads wait so many seconds in its three runs."""
    waited = itertools.accumulate([0.0, *waits, 0.0])
    monkeypatch.setattr(controls, "workloads", lambda: {"one": lambda: None})
    monkeypatch.setattr(controls, "sample_far_workloads", lambda contention: {})
    monkeypatch.setattr(Contention, "read", lambda self: Counters(time.perf_counter(), next(waited), 0, 0, 0))
    return sample_controls(Contention())


def test_every_workload_runs():
    controls.workloads.cache_clear()
    for run in controls.workloads().values():
        run()


def test_workloads_from_far_memory_are_timed_when_all_have_read_their_data_again(monkeypatch):
    ran, undisturbed = [], np.zeros(1, dtype=bool)
    script = {"far one": lambda: ran.append("one"), "far two": lambda: ran.append("two")}
    monkeypatch.setattr(far_workloads, "far_workloads", lambda: script)
    monkeypatch.setattr(far_workloads, "disturbed", lambda readings: undisturbed)
    assert set(sample_far_workloads(Contention())) == {"far one", "far two"}
    assert ran == ["one", "two", "one", "two"]
    undisturbed[:] = True
    assert sample_far_workloads(Contention()) == {}


def test_every_workload_from_far_memory_runs():
    far_workloads.far_workloads.cache_clear()
    for name, run in far_workloads.far_workloads().items():
        assert name.startswith(FAR)
        run()


def test_a_run_that_waited_for_a_core_does_not_count(monkeypatch):
    assert list(sampled(monkeypatch, [0.0, 1.0, 0.0])) == ["one"]


def test_a_workload_that_waited_twice_is_left_out(monkeypatch):
    assert sampled(monkeypatch, [1.0, 1.0, 0.0]) == {}


def test_controls_are_sampled_at_most_every_half_second(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(controls.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(controls, "sample_controls", lambda contention: {"one": 1.0})
    due = Controls(Contention())
    assert due.sample_if_due() == {"one": 1.0}
    assert due.sample_if_due() == {}
    now[0] += EVERY_S
    assert due.sample_if_due() == {"one": 1.0}


def test_controls_take_at_most_a_tenth_of_the_time(monkeypatch):
    now = [100.0]

    def slow(_contention):
        now[0] += 1.0
        return {"one": 1.0}

    monkeypatch.setattr(controls.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(controls, "sample_controls", slow)
    due = Controls(Contention())
    due.sample_if_due()
    now[0] += 9.9
    assert due.sample_if_due() == {}
    now[0] += 0.2
    assert due.sample_if_due() == {"one": 1.0}
