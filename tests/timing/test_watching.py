"""Small models, as they are and timed op call by op call."""

import time

import torch
from small_model import Classifier

from opclock.board.contention import Contention
from opclock.profiles.pool import FAULT
from opclock.timing import watching
from opclock.timing.controls import Controls
from opclock.timing.measure import measure
from opclock.timing.reference import forward_of
from opclock.timing.threads import thread_team
from opclock.timing.watching import op_calls, sample_watching
from opclock.tracing.recorder import trace

SMALL = {"residual", "inverted", "shuffle", "transformer"}
LONG = {"long residual", "long transformer"}
SAMPLED = {f"real {name}" for name in SMALL} | {f"{way} {name}" for way in ("single", "watched") for name in LONG}


def test_long_models_are_timed_both_ways(monkeypatch):
    monkeypatch.setattr(watching, "disturbed", lambda readings: readings.wall_s < 0)
    start = time.perf_counter()
    seconds = sample_watching(1, Contention())
    elapsed_s = time.perf_counter() - start
    assert set(seconds) == SAMPLED
    longer = watching.LONG_REPEATS // 2 + 1  # runs that took at least as long as their median
    assert 0 < longer * sum(seconds.values()) < elapsed_s
    assert min(seconds.values()) > 0


def test_with_several_threads_watching_is_sampled_with_one(monkeypatch):
    """A tiny convolution's team of threads was taken for a cost of watching: 2 us an op call in place of 1.2."""
    monkeypatch.setattr(watching, "disturbed", lambda readings: readings.wall_s < 0)
    teams = set()
    monkeypatch.setattr(watching.WatchedModel, "watched_s", lambda _model: teams.add(torch.get_num_threads()) or 1e-3)
    with thread_team(2):
        seconds = sample_watching(2, Contention())
        assert torch.get_num_threads() == 2
    assert teams == {1}
    assert set(seconds) == SAMPLED


def test_a_disturbed_model_is_left_out(monkeypatch):
    monkeypatch.setattr(watching, "disturbed", lambda readings: readings.wall_s > 0)
    assert sample_watching(1, Contention()) == {}


def test_their_op_calls_are_counted():
    counted = op_calls(1)
    assert set(counted) == LONG
    assert counted["long residual"] == {"op_calls": 104}


def test_a_pool_with_a_played_host_keeps_them(profile):
    model = Classifier().eval(), (torch.randn(1, 3, 16, 16),)
    traced = trace(*model)
    measure(traced, profile, forward=forward_of(*model), threads=1, max_s=0.1)
    pool = profile.pool(1)
    assert set(pool.context["small_models"]) == LONG
    assert {name for name in pool.watching if name != FAULT} <= SAMPLED


def test_a_models_settings_do_not_reach_the_small_models():
    """Under autocast they made other op calls, and the second of two validations stopped."""
    with torch.autocast("cpu"):
        seconds = Controls(Contention(), watching=1).sample_if_due()
        assert torch.is_autocast_enabled("cpu")
    assert seconds is not None
