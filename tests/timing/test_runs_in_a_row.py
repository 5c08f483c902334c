"""Inferences, and rounds with a model's Python: nothing else runs between two of them, unless the model needs it."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from small_model import Classifier

from opclock.timing.binding import BoundPool
from opclock.timing.host_playback import PlayedHost
from opclock.timing.inputs import Arguments
from opclock.timing.missing import condition_of
from opclock.timing.reference import ReferenceRun, forward_of
from opclock.tracing.forward import Forward
from opclock.tracing.recorder import trace

INPUTS = (torch.randn(1, 3, 16, 16),)


class Counts(Classifier):
    """Counts its inferences since it was reset."""

    def __init__(self):
        super().__init__()
        self.runs = 0

    def forward(self, x):
        self.runs += 1
        return super().forward(x)


@pytest.fixture
def model():
    return Counts().eval()


def bound(model, reset=None):
    traced = trace(model, INPUTS, reset=reset)
    condition = condition_of(traced, 1)
    pool = BoundPool(traced, range(len(traced.calls)), Arguments(traced), condition, seed=0).compiled
    pool.warm_up(0.01)
    return PlayedHost(traced, forward_of(model, INPUTS, reset)), pool, len(traced.calls)


def rows(count, calls):
    return np.full((count, calls), np.nan), np.full((count, calls + 1), np.nan), np.full(count, np.nan)


@pytest.mark.parametrize("resets", [False, True])
def test_each_round_plays_the_model_once_and_fills_its_row(model, resets):
    found = []
    reset = (lambda: (found.append(model.runs), setattr(model, "runs", 0))) if resets else None
    host, pool, calls = bound(model, reset)
    model.runs = 0
    found.clear()
    samples = rows(4, calls)
    host.rounds(pool, *samples, unkept=2)
    for part in samples:
        assert np.isfinite(part).all()
        assert (part >= 0).all()
    assert (samples[0].sum(axis=1) > 0).all()
    pool.discard_last(4)  # raises where fewer were kept
    with pytest.raises(ValueError, match="not as many rounds"):
        pool.discard_last()
    assert (model.runs, found) == ((1, [0] + [1] * 5) if resets else (6, []))


def test_what_is_no_row_for_each_round_is_refused(model):
    host, pool, calls = bound(model)
    seconds, host_s, control_s = rows(3, calls)
    for wrong, name in ((rows(2, calls)[0], "seconds"), (rows(3, calls + 1)[0], "seconds"), (seconds[0], "seconds")):
        with pytest.raises(ValueError, match=f"{name} must be an array of 3 x {calls} float64"):
            host._playback.rounds(host.forward, pool, wrong, host_s, control_s)
    with pytest.raises(ValueError, match="host_s must be an array of 3 x"):
        host._playback.rounds(host.forward, pool, seconds, seconds, control_s)


def test_a_pool_goes_on_after_a_round_whose_model_raised(model):
    host, pool, calls = bound(model)
    samples = rows(2, calls)

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        host._playback.rounds(interrupted, pool, *samples)
    host.rounds(pool, *samples)
    assert np.isfinite(samples[0]).all()


def test_inferences_in_a_row_are_prepared_together(model, monkeypatch):
    prepared = Forward.prepared
    entered = []

    @contextmanager
    def counted(forward):
        entered.append(forward)
        with prepared(forward):
            yield

    monkeypatch.setattr(Forward, "prepared", counted)
    run = ReferenceRun(forward_of(model, INPUTS))
    entered.clear()
    model.runs = 0
    assert len(run._in_a_row(2, 5)) == 5
    assert (model.runs, len(entered)) == (7, 1)
    run = ReferenceRun(forward_of(model, INPUTS, lambda: None))
    entered.clear()
    assert len(run._in_a_row(2, 5)) == 5
    assert len(entered) == 7
