"""Sweeps for given models: what is timed first, until when, and what it does to the estimates."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter

import numpy as np
import pytest
import torch
from helpers import opclock, refused
from torch import nn

from opclock.board.identity import read_board
from opclock.errors import OpclockError, OptionError, SweepError
from opclock.estimation.kernel_times import KernelTimes
from opclock.prediction.class_model import Spread
from opclock.prediction.predictor import Prediction
from opclock.profiles.profile import Profile
from opclock.sweeps.choosing import Uncertainty, Unmeasured, most_useful_first
from opclock.sweeps.for_models import ModelSweep, _Session, sweep_for
from opclock.sweeps.run import SweepSummary
from opclock.timing.ceiling_runs import ALL_CEILINGS
from opclock.tracing.placement import place
from opclock.tracing.recorder import trace

SURE, VAGUE = Spread(0.1, 0.1, 0.1, 0.2, 2.0), Spread(0.2, 0.6, 0.5, 1.2, 2.0)


def call(key, seconds, *, spread=SURE, cost_s=1.0):
    return Unmeasured(key, spread, (seconds,) if isinstance(seconds, float) else seconds, cost_s)


def order(*calls):
    models = len(calls[0].seconds)
    return "".join(one.key for one in most_useful_first(calls, [10.0] * models))


def test_what_is_uncertain_large_or_cheap_comes_first():
    assert order(call("a", 1.0), call("b", 1.0, spread=VAGUE)) == "ba"
    assert order(call("a", 1.0), call("b", 3.0)) == "ba"
    assert order(call("a", 1.0, cost_s=5.0), call("b", 1.0)) == "ba"
    assert order(call("a", 3.0, cost_s=50.0), call("b", 1.0)) == "ba"


def test_an_op_call_of_several_models_counts_for_each():
    assert order(call("a", (2.0, 0.0)), call("b", (0.0, 2.0)), call("c", (1.5, 1.5))) == "cab"


def test_the_width_is_that_of_the_estimate(module_trace):
    keys = list(module_trace.unique)
    counts = Counter(one.call.key for one in module_trace.calls)
    predictions = {
        key: Prediction(1e-3 * (number + 1), "gemm", (SURE, VAGUE)[number % 2]) for number, key in enumerate(keys)
    }
    share = KernelTimes(module_trace, {}, predictions).predicted_share()
    calls = [call(key, counts[key] * one.seconds, spread=one.spread) for key, one in predictions.items()]
    (width,) = Uncertainty(calls, [share.median_s]).widths
    assert width == pytest.approx(math.log(share.high_s / share.median_s))


def test_gains_are_what_measuring_takes_off():
    calls = [call(str(n), (1.0 + n, 2.0 * (n % 3)), spread=(SURE, VAGUE)[n % 2]) for n in range(6)]
    uncertainty = Uncertainty(calls, [20.0, 5.0])
    for number in (3, 0, 5, 1, 2, 4):
        before, gain = uncertainty.widths.sum(), uncertainty.gains()[number]
        uncertainty.measured(number)
        assert uncertainty.widths.sum() == pytest.approx(before - gain)
    assert uncertainty.widths == pytest.approx(np.zeros(2), abs=1e-6)


class Board:
    """A board on which timing takes so many times as long as expected, by its own clock."""

    def __init__(self, pace):
        self.now, self.pace, self.batches = 0.0, pace, []

    def timed(self, kernels):
        self.batches.append(list(kernels))
        self.now += self.pace * len(kernels)
        return SweepSummary(timed=len(kernels))


def session(pace, minutes, count=100):
    board, done = Board(pace), ModelSweep([], [])
    waiting = [call(str(number), 1.0) for number in range(count)]
    kernels = {one.key: one.key for one in waiting}
    _Session(waiting, kernels, board.timed, done, lambda *_: None, clock=lambda: board.now).run(60 * minutes)
    return board, done


def test_it_stops_when_the_time_is_over_and_the_most_useful_was_timed():
    board, done = session(pace=1.0, minutes=1.0)
    assert (done.timed, done.left, done.seconds) == (60, 40, 60.0)
    assert [key for batch in board.batches for key in batch] == [str(number) for number in range(60)]


def test_a_board_slower_than_expected_is_given_less():
    board, done = session(pace=4.0, minutes=1.0)
    assert done.timed + done.left == 100
    assert 50 < board.now <= 80  # the first batch is planned before its pace is known
    assert len(board.batches) > 1


def test_it_ends_when_nothing_is_left():
    board, done = session(pace=0.1, minutes=10.0)
    assert (done.timed, done.left) == (100, 0)
    assert board.now < 60


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(16, 32), nn.Linear(32, 8)

    def forward(self, rows):
        return self.second(torch.relu(self.first(rows)))


@pytest.fixture(scope="module")
def module_trace():
    return trace(Small().eval(), (torch.ones(4, 16),), name="small")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A profile that has ceilings, and nothing else."""
    file = tmp_path_factory.mktemp("for") / "board.sqlite"
    with Profile.create_or_open(file, read_board()) as profile:
        for name, size in ALL_CEILINGS:
            profile.add_ceiling(name, size, 1, 1e11 if name.startswith("multiply") else 1e10)
    return file


@pytest.fixture(scope="module")
def swept(path, module_trace, tmp_path_factory):
    file = shutil.copy(path, tmp_path_factory.mktemp("swept") / "board.sqlite")
    return file, sweep_for([module_trace], file, minutes=0.5, threads=1)


def test_a_model_of_which_nothing_was_known_has_an_estimate(swept, module_trace):
    _, done = swept
    assert done.before == [None]
    assert (done.timed, done.left) == (len(module_trace.unique), 0)
    (after,) = done.after
    assert after.complete
    assert {part.source for part in after.parts} == {"measured"}


def test_nothing_is_timed_twice(swept, module_trace):
    file, _ = swept
    done = sweep_for([module_trace], file, minutes=0.5, threads=1)
    assert (done.timed, done.left) == (0, 0)
    assert done.before[0].total_s == done.after[0].total_s


def test_the_command_shows_each_model_before_and_after(swept, module_trace, tmp_path):
    file, _ = swept
    module_trace.save(tmp_path / "small.json")
    done = opclock("sweep", "--for", tmp_path / "small.json", "--threads", "1", "--profile", file, "--json", "-")
    data = json.loads(done.stdout)
    assert data["schema"] == "opclock.sweep_for/1"
    (one,) = data["sweeps"]
    assert (one["threads"], one["timed"], one["left"]) == (1, 0, 0)
    coverage = one["models"][0]["after"]["coverage"]
    assert coverage["unknown"] == 0
    assert coverage["measured"] > 0


@pytest.mark.parametrize(("words", "reason"), [
    (["--for", "zoo:lenet", "--preset", "quick"], "--for and --preset are two sweeps"),
    (["--preset", "quick", "--minutes", "2"], "--minutes 2 is for --for"),
    (["--for", "zoo:lenet", "--export", "x.csv"], "--export writes the kernels of families"),
    (["--for", "zoo:lenet", "gemm", "--m", "1", "--n", "1", "--k", "1"], "--for is a sweep of its own"),
])  # fmt: skip
def test_what_does_not_go_together_is_refused(words, reason):
    refused(opclock("sweep", *words), reason)


def test_models_and_minutes_are_checked(path, module_trace):
    with pytest.raises(OpclockError, match="models="):
        sweep_for([], path, minutes=1.0)
    with pytest.raises(SweepError, match="small is traced on cuda:0"):
        sweep_for([place(module_trace, "cuda:0", "float32")], path, minutes=1.0)
    with pytest.raises(OptionError, match=r"minutes=0\.0"):
        sweep_for([module_trace], path, minutes=0.0)
