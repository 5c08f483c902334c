"""Other programs take the cores: such rounds are seen, stored and left out. The kernel's answers are scripted."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import torch
from small_model import Classifier

from opclock.board.contention import Contention, Counters
from opclock.errors import OptionError
from opclock.estimation.estimate import estimate
from opclock.profiles.disturbance import MIN_CLEAN
from opclock.timing.measure import measure
from opclock.timing.missing import condition_of, missing_in
from opclock.timing.reference import reference
from opclock.timing.runs import Runs, one_by_one
from opclock.tracing.recorder import trace


@pytest.fixture
def small():
    return Classifier().eval(), (torch.randn(1, 3, 16, 16),)


def script(monkeypatch, waits):
    """Between two readings in a row, threads wait for as many seconds as the next of these numbers says."""
    waited = itertools.accumulate(itertools.chain([0.0], waits))
    monkeypatch.setattr(Contention, "read", lambda self: Counters(time.perf_counter(), next(waited), 0, 0, 0))


ALWAYS = itertools.repeat(1.0)


def test_sampling_goes_on_until_enough_rounds_are_clean(small, profile, monkeypatch):
    script(monkeypatch, itertools.cycle([0, 0, 0, 0, 1.0, 0, 0, 0, 0, 0]))
    traced = trace(*small)
    done = measure(traced, profile, threads=1)
    (number,) = profile.pools(["in_model"], "cpu", 1)
    pool = profile.pool(number)
    assert 0 < pool.disturbed < pool.rounds == done.rounds
    assert len(pool.seconds) == pool.rounds - pool.disturbed
    assert len(profile.pool(number, all_rounds=True).seconds) == pool.rounds
    assert "contended" not in done.flags


def test_where_no_round_is_clean_the_number_is_contended(small, profile, monkeypatch):
    script(monkeypatch, ALWAYS)
    traced = trace(*small)
    done = measure(traced, profile, threads=1, max_s=0.2)
    assert "contended" in done.flags
    assert "contended" in estimate(traced, profile, threads=1).flags
    (number,) = profile.pools(["in_model"], "cpu", 1)
    pool = profile.pool(number)
    assert pool.contended
    assert len(pool.seconds) == MIN_CLEAN


def test_contended_op_calls_are_measured_again(small, profile, monkeypatch):
    traced = trace(*small)
    with monkeypatch.context() as patch:
        script(patch, ALWAYS)
        measure(traced, profile, threads=1, max_s=0.2)
    assert missing_in(traced, profile, condition_of(traced, 1)) == set(traced.unique)
    script(monkeypatch, itertools.repeat(0.0))
    again = measure(traced, profile, threads=1, max_s=0.2)
    assert again.timed == len(traced.unique)
    assert "contended" not in again.flags
    assert "contended" not in estimate(traced, profile, threads=1).flags


def test_a_limit_of_the_user_is_kept_where_no_round_is_clean(small, profile, monkeypatch):
    script(monkeypatch, ALWAYS)
    rounds = []
    monkeypatch.setattr("opclock.timing.stopping.EXTENSION", 1e9)  # without the limit, this test would not end
    measure(trace(*small), profile, threads=1, max_s=0.2, progress=lambda text, share: rounds.append(text))
    assert rounds[-1].split(": ")[1].startswith("0 clean of ")


def test_disturbed_runs_of_the_model_are_left_out(small, monkeypatch):
    script(monkeypatch, itertools.cycle([1.0] + [0.0] * 9))
    found = reference(*small, blocks=3, threads=1)
    assert found.disturbed > 0
    assert not found.contended
    assert found.blocks is not None
    assert len(found.blocks) == len(found.samples)


def test_a_reference_without_clean_runs_is_contended(small, monkeypatch):
    script(monkeypatch, ALWAYS)
    assert reference(*small, blocks=2, threads=1).contended


def test_runs_keep_the_numbers_of_their_blocks(monkeypatch):
    script(monkeypatch, [0, 1.0, 0, 0] + [0] * 20)  # the second of three runs
    seconds = iter(np.arange(1.0, 7.0))
    runs = Runs(Contention())
    for _ in range(2):
        runs.block(one_by_one(lambda: float(next(seconds))), 3)
    assert runs.samples.seconds.tolist() == [1, 3, 4, 5, 6]
    assert runs.samples.blocks.tolist() == [0, 0, 1, 1, 1]
    assert runs.samples.faults.size == 5
    assert (runs.clean, runs.disturbed) == (5, 1)


@pytest.mark.parametrize("seconds", [1.0, 0.001])  # of a run; short runs share a reading
def test_a_run_that_is_not_kept_adds_no_page_faults_to_the_others(monkeypatch, seconds):
    """The first run of each block had twice its page faults: the one before it lay within its reading."""
    faults = [0]
    monkeypatch.setattr(Contention, "read", lambda self: Counters(0, 0, 0, 0, 0, faults[0]))

    def run():
        faults[0] += 100
        return seconds

    runs = Runs(Contention())
    runs.block(one_by_one(run, run), 20)
    assert runs.samples.faults.tolist() == [100] * 20


@pytest.mark.parametrize("max_s", [0, -1, float("nan"), float("inf"), "a"])
def test_a_limit_that_is_no_time_is_refused(small, profile, max_s):
    with pytest.raises(OptionError, match="give a number of seconds above 0"):
        measure(trace(*small), profile, threads=1, max_s=max_s)
