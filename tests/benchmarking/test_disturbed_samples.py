"""Samples that other programs disturbed are kept, marked, and left out of the statistics."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from helpers import SMALL

from opclock.benchmarking.options import SamplingOptions
from opclock.benchmarking.result import BenchRow
from opclock.benchmarking.worker.process import WorkerProcess
from opclock.benchmarking.worker.sampling import sample
from opclock.board.contention import Counters
from opclock.profiles.disturbance import disturbed
from opclock.runtimes.job import Job
from opclock.runtimes.runtime import Settings


class Scripted:
    """Counters whose wait grows at these readings."""

    def __init__(self, waits_s):
        self._waits_s, self._wait_s, self._wall_s = list(waits_s), 0.0, 0.0

    def refresh(self):
        pass

    def read(self):
        self._wait_s += self._waits_s.pop(0) if self._waits_s else 0.0
        self._wall_s += 0.02
        return Counters(self._wall_s, self._wait_s, 0, 0, float("nan"))


def test_each_sample_has_its_reading():
    samples, readings = sample(lambda: time.sleep(0.02), 4, Scripted([0.0, 0.0, 0.01]))
    assert len(samples) == 4
    assert disturbed(readings).tolist() == [False, True, False, False]


def test_short_samples_share_a_reading():
    samples, readings = sample(lambda: None, 3, Scripted([0.0, 0.003]))
    assert len(samples) == 3
    assert readings.wait_s.tolist() == pytest.approx([0.001] * 3)
    assert disturbed(readings).all()


def row(disturbed, kept, samples):
    return BenchRow("r", 1, samples=np.array(samples), blocks=np.arange(len(samples)) // 2,
                    disturbed=np.array(disturbed, bool), kept=np.array(kept, bool))  # fmt: skip


def test_disturbed_samples_are_kept_and_left_out_of_the_statistics():
    marks = [0, 1, 0, 0, 1, 0, 0]
    measured = row(marks, np.logical_not(marks), [1.0, 90.0, 1.0, 1.0, 80.0, 1.0, 1.0])
    assert measured.statistics()["max_s"] == measured.median_s == 1.0
    assert measured.contention_flags == ()
    data = json.loads(json.dumps(measured.to_json(), allow_nan=False))
    assert data["samples_s"][1] == 90.0
    assert data["disturbed"][1] is True
    assert BenchRow.from_json(data).to_json() == measured.to_json()


def test_too_few_clean_samples_are_contended():
    assert row([1] * 6, [1] * 5 + [0], [1.0] * 6).contention_flags == ("contended",)
    assert row([0] * 3, [1] * 3, [1.0] * 3).contention_flags == ()  # few, but nobody disturbed them


def test_results_without_marks_count_all_samples():
    data = BenchRow("r", 1, samples=np.array([1.0, 2.0, 3.0])).to_json()
    for name in ("blocks", "disturbed", "kept"):
        del data[name]
    older = BenchRow.from_json(data)
    assert older.median_s == 2.0
    assert older.contention_flags == ()


def test_sampling_goes_on_until_enough_are_clean_or_the_time_is_up():
    options = SamplingOptions(iterations=8, duration_s=1.0)
    assert not options.enough(7, 100, 0.9)
    assert options.enough(8, 100, 0.0)
    assert options.enough(0, 2, 1.0)
    assert not options.enough(1, 1, 5.0)


def test_a_block_that_differs_widens_the_interval():
    """Samples within a block share the machine's state: more of them tell no more."""
    states = np.array([1.0, 1.1, 0.9, 1.05, 0.95, 1.0])
    few, many = (BenchRow("r", 1, samples=np.repeat(states, size), blocks=np.repeat(np.arange(6), size))
                 for size in (3, 30))  # fmt: skip
    assert few.interval_s == pytest.approx(many.interval_s, rel=0.02)
    low, high = many.interval_s
    assert high - low > 0.1


@pytest.mark.runtimes("onnxruntime")
def test_children_that_wait_use_no_core(tmp_path):
    """One process measures in turns; the others must sleep meanwhile."""
    import psutil

    for runtime in ("eager", "onnxruntime"):
        job = Job(tmp_path, SMALL, runtime=runtime, shared=True)
        with WorkerProcess(job, Settings(1)) as worker:
            if runtime == "eager":
                worker.ask("prepare", 300.0, batches=[1])
            worker.ask("convert", 300.0)
            worker.ask("load", 300.0, profiled=False)
            worker.ask("block", 300.0, runs=50)
            child = psutil.Process(worker._child.pid)
            time.sleep(0.5)  # threads of a team go to sleep
            before = sum(child.cpu_times()[:2])
            time.sleep(1.0)
            assert sum(child.cpu_times()[:2]) - before <= 0.05
