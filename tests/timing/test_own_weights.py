"""The control workload that reads a model's own weights."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from opclock.board.contention import Contention
from opclock.profiles.machine_state import usual_state
from opclock.profiles.pool import OWN
from opclock.timing import own_weights
from opclock.timing.measure import measure
from opclock.timing.model_weights import ModelWeights
from opclock.timing.own_weights import OwnWeights
from opclock.tracing.forward import Forward
from opclock.tracing.recorder import trace


def own(model: nn.Module, *inputs: torch.Tensor) -> OwnWeights:
    traced = trace(model, inputs)
    return OwnWeights(traced, ModelWeights(traced, Forward(model, inputs)))


def test_seconds_are_those_of_the_second_reading(monkeypatch):
    now = iter((10.0, 10.5))
    monkeypatch.setattr(own_weights, "time", SimpleNamespace(perf_counter=lambda: next(now)))
    monkeypatch.setattr(own_weights, "disturbed", lambda readings: np.zeros(1, dtype=bool))
    sampled = own(nn.Linear(1024, 1024, bias=False), torch.rand(16, 1024)).sample(Contention())
    assert sampled == {f"{OWN}{4 * 1024 * 1024}": pytest.approx(0.5)}


def test_a_disturbed_reading_does_not_count(monkeypatch):
    monkeypatch.setattr(own_weights, "disturbed", lambda readings: np.ones(1, dtype=bool))
    assert own(nn.Linear(1024, 1024), torch.rand(16, 1024)).sample(Contention()) == {}


def test_a_table_of_which_some_rows_are_read_and_few_weights_are_left_out():
    assert not own(nn.Embedding(1024, 1024), torch.zeros(1, 4, dtype=torch.long)).known
    assert not own(nn.Linear(64, 64), torch.rand(1, 64)).known
    assert own(nn.Linear(1024, 1024), torch.rand(1, 1024)).known


def test_a_pool_of_a_model_with_many_weights_has_it(profile, monkeypatch):
    monkeypatch.setattr(own_weights, "disturbed", lambda readings: np.zeros(1, dtype=bool))
    model, rows = nn.Linear(1024, 1024), torch.rand(1, 1024)
    traced = trace(model, (rows,))
    measure(traced, profile, forward=Forward(model, (rows,)), threads=1, max_s=0.05)
    assert [name for name in usual_state(profile, 1).levels if name.startswith(OWN)]
