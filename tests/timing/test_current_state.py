"""The machine's state now: scripted control workloads."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from opclock.errors import EstimateError
from opclock.models.loading import Model
from opclock.profiles.pool import OWN
from opclock.timing import controls, far_workloads, own_weights, watching
from opclock.timing import current_state as module
from opclock.timing.controls import CURRENT_S
from opclock.timing.current_state import current_state
from opclock.tracing.recorder import trace


@pytest.fixture
def scripted(monkeypatch):
    """Each look at the clock takes a tenth of the time; each sample gives these seconds."""
    ticks = itertools.count()
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(ticks) * CURRENT_S / 10)

    def script(samples):
        sampled = itertools.cycle(samples)
        monkeypatch.setattr(module, "sample_controls", lambda contention: next(sampled))
        monkeypatch.setattr(module, "sample_small_models", lambda contention: {})

    return script


def test_the_state_is_that_of_the_samples_of_one_second(scripted):
    scripted([{"product": 2e-4, "python": 3e-4, "copy_4mb": 4e-4}])
    fractions = []
    state = current_state(threads=1, progress=lambda text, done: fractions.append(done))
    assert state.levels == {
        "product": pytest.approx(math.log(2e-4)), "python": pytest.approx(math.log(3e-4)),
        "copy_4mb": pytest.approx(math.log(4e-4)),
    }  # fmt: skip
    assert fractions == pytest.approx([number / 10 for number in range(1, 10)])


def test_the_weights_of_a_model_that_is_there_are_read_as_well(scripted, monkeypatch):
    monkeypatch.setattr(own_weights, "disturbed", lambda readings: np.zeros(1, dtype=bool))
    scripted([{"product": 2e-4, "python": 3e-4, "copy_4mb": 4e-4}])
    layer = torch.nn.Linear(1024, 1024, bias=False)
    model = Model("layer", layer, (torch.rand(1, 1024),))
    traced = trace(layer, model.inputs)
    levels = current_state(threads=1, trace=traced, model=model).levels
    assert f"{OWN}{4 * 1024 * 1024}" in levels
    assert not [name for name in current_state(threads=1, trace=traced).levels if name.startswith(OWN)]


def test_a_busy_machine_has_no_state_and_one_line_says_so(scripted):
    scripted([{"product": 2e-4}, {}])
    with pytest.raises(EstimateError, match="other programs disturbed the control workloads on 1 thread"):
        current_state(threads=1)


def test_the_state_has_every_control_workload_and_small_model(monkeypatch):
    """On a busy machine too: here none of their runs counts as disturbed."""
    for sampling in (controls, far_workloads, watching):
        monkeypatch.setattr(sampling, "disturbed", lambda readings: np.zeros(len(readings.wall_s), dtype=bool))
    sampler = module.StateSampler()
    sampler.sample()
    models = {f"real {host.trace.model}" for host in module.small_models()}
    assert set(sampler.state.levels) == {*controls.workloads(), *far_workloads.far_workloads(), *models}
