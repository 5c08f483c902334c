"""Models that compute subnormal numbers: no time of their op calls says how long they take."""

import pytest
import torch

from opclock.estimation.estimate import estimate
from opclock.timing.measure import measure
from opclock.timing.reference import forward_of
from opclock.timing.subnormal import subnormal_flags
from opclock.tracing.recorder import trace


class Scaled(torch.nn.Module):
    """Multiplies its input twice."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, values):
        return torch.relu(values * self.factor * self.factor)


INPUTS = (torch.rand(8, 16) + 0.5,)


def flags_of(module, inputs=INPUTS):
    return subnormal_flags(forward_of(module.eval(), inputs), "cpu")


@pytest.mark.parametrize(
    ("factor", "flags"),
    [(1e-20, ("subnormal",)), (1.0, ()), (1e-30, ())],
    ids=["subnormal", "normal", "zero"],
)
def test_a_model_that_computes_subnormal_numbers_is_named(factor, flags):
    assert flags_of(Scaled(factor)) == flags


def test_a_few_subnormal_numbers_are_none():
    values = torch.zeros(1, 1000)
    values[0, :50] = -95.0  # their softmax is subnormal: 5 % of the tensor
    assert flags_of(torch.nn.Softmax(-1), (values,)) == ()


@pytest.mark.parametrize(
    ("size", "operator", "flags"),
    [(1e-20, torch.nn.SiLU(), ("subnormal",)), (1e-20, torch.nn.SiLU(inplace=True), ("subnormal",)),
     (1e-20, torch.nn.ReLU(), ()), (1e-10, torch.nn.SiLU(), ())],
    ids=["silu", "in place", "relu", "larger"],
)  # fmt: skip
def test_an_operator_that_squares_small_numbers_is_named(size, operator, flags):
    """A SiLU of values around 1e-20 took 15 times as long, and nothing said so."""
    assert flags_of(operator, (torch.full((8, 16), size),)) == flags


def test_what_cannot_be_run_says_nothing():
    class Broken(torch.nn.Module):
        def forward(self, values):
            raise ValueError("no")

    assert flags_of(Broken()) == ()
    assert subnormal_flags(None, "cpu") == ()


def test_bfloat16_has_subnormal_numbers_too():
    assert flags_of(Scaled(1e-20), (INPUTS[0].bfloat16(),)) == ("subnormal",)


def test_the_estimate_of_the_model_has_the_flag_and_those_of_others_do_not(profile):
    traces = {}
    for factor in (1e-20, 1.0):
        model = Scaled(factor).eval(), INPUTS
        traces[factor] = trace(*model, name=f"scaled by {factor}")
        measure(traces[factor], profile, forward=forward_of(*model), threads=1, max_s=0.1)
    assert "subnormal" in estimate(traces[1e-20], profile, threads=1).flags
    assert "subnormal" not in estimate(traces[1.0], profile, threads=1).flags
