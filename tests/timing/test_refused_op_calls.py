"""An op call that cannot be rebuilt, or does not run on rebuilt arguments, is unknown by name; the others are timed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.ao import quantization

from opclock.errors import OpCallError
from opclock.estimation.estimate import estimate
from opclock.models.loading import Model
from opclock.timing import inputs
from opclock.timing.binding import BoundPool
from opclock.timing.inputs import Arguments, RefusedError
from opclock.timing.measure import measure
from opclock.timing.missing import condition_of
from opclock.tracing.op_call import NamedConstant, PackedParams, Quantization, TensorSpec
from opclock.tracing.recorder import trace
from opclock.validation.validate import validate_model

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.ao warns that it will move


@pytest.fixture(scope="module")
def quantised():
    """The trace of a dynamically quantised linear layer, then a ReLU."""
    module = quantization.quantize_dynamic(nn.Sequential(nn.Linear(8, 4), nn.ReLU()).eval(), {nn.Linear}, torch.qint8)
    return trace(module, (torch.randn(2, 8),), name="int8")


def with_argument(traced, old, new):
    """The trace with another value in place of the first call's argument of this type."""
    first, *others = traced.calls
    args = tuple(new(value) if isinstance(value, old) else value for value in first.call.args)
    return replace(traced, calls=(replace(first, call=replace(first.call, args=args)), *others))


def test_packed_parameters_that_cannot_be_rebuilt_leave_the_rest(quantised, profile):
    """They stopped ``measure``."""
    broken = with_argument(quantised, PackedParams, lambda value: replace(value, prepack="gone_prepack"))
    done = measure(broken, profile, threads=1, max_s=0.05)
    (unknown,) = done.unknown
    assert unknown.startswith("quantized::linear_dynamic(float32[2x8]): quantized::gone_prepack does not run")
    assert done.timed == len(broken.unique) - 1
    estimated = estimate(broken, profile, threads=1)
    assert estimated.unknown == ("quantized::linear_dynamic(float32[2x8])",)
    assert "incomplete" in estimated.flags
    again = measure(broken, profile, threads=1)
    assert (again.ended, again.unknown) == ("nothing_to_do", done.unknown)


FAULTS = {
    "backend": (PackedParams, lambda value: replace(value, engine="abacus"), "abacus"),
    "prepack arguments": (PackedParams, lambda value: replace(value, args=()), "does not run"),
    "constant": (TensorSpec, lambda value: NamedConstant("dtype", "float3"), "has no dtype 'float3'"),
    "dtype": (TensorSpec, lambda value: replace(value, dtype="float3"), "has no dtype 'float3'"),
    "quantised dtype": (TensorSpec, lambda value: replace(
        value, dtype="quint2x4", quantization=Quantization("per_tensor_affine", 0.5, 0)), "quint2x4 cannot be made"),
    "device": (TensorSpec, lambda value: replace(value, device="abacus"), "abacus"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_fails_while_arguments_are_rebuilt_makes_one_op_call_unknown(fault, quantised):
    old, new, said = FAULTS[fault]
    broken = with_argument(quantised, old, new)
    arguments = Arguments(broken)
    pool = BoundPool(broken, range(len(broken.calls)), arguments, condition_of(quantised, 1), 0)
    assert list(arguments.unknown) == [broken.calls[0].call.key]
    (why,) = arguments.unknown.values()
    assert said in why
    assert pool.keys[1:] == [one.call.key for one in broken.calls[1:]]


@pytest.mark.parametrize("error", [MemoryError(), OSError(12, "Cannot allocate memory"),
                                   RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")])  # fmt: skip
def test_too_little_memory_is_no_fault_of_one_op_call(error, quantised, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr(inputs, "new_tensor", fail)
    with pytest.raises(OpCallError, match=r"no memory for quantized::linear_dynamic.*smaller input") as caught:
        Arguments(quantised).bind(quantised.calls[0])
    assert not isinstance(caught.value, RefusedError)


@torch.library.custom_op("opclock_test::only_sevens", mutates_args=())
def only_sevens(x: torch.Tensor) -> torch.Tensor:
    if not bool((x == 7).all()):
        raise RuntimeError("not all are seven")
    return x * 2


@only_sevens.register_fake
def _(x):
    return torch.empty_like(x)


class Sevens(nn.Module):
    """One of its operators accepts no rebuilt arguments. Its Python may ask for a value, and cannot be played then."""

    def __init__(self, asks):
        super().__init__()
        self.asks = asks

    def forward(self, x):
        doubled = torch.ops.opclock_test.only_sevens(x)
        if self.asks and float(doubled.sum()) != 14 * x.numel():
            raise ValueError("played")
        return torch.relu(doubled)


@pytest.mark.usefixtures("short_sampling", "quick_ceilings")
@pytest.mark.parametrize("asks", [False, True])
def test_a_second_validation_times_no_kernel_again(asks, profile):
    """It did, each time, while an op call that cannot run had no time; and where Python cannot be played."""
    model = Model("sevens", Sevens(asks), (torch.full((4, 8), 7.0),))
    first, second = (validate_model(model, profile, threads=1) for _ in range(2))
    assert first.estimate.unknown == second.estimate.unknown == ("opclock_test::only_sevens(float32[4x8])",)
    assert "measured_earlier" not in first.flags
    assert {"measured_earlier", "incomplete"} <= set(second.flags)
    assert second.measure_s < first.measure_s
    for row in (first, second):
        (unknown,) = row.unknown
        assert unknown.startswith("opclock_test::only_sevens(float32[4x8]): ")


def training_aware():
    """A layer that trains for quantisation: its observers have buffers without elements until it has run once."""
    layer = nn.Sequential(nn.Linear(8, 4), nn.ReLU())
    layer.qconfig = quantization.get_default_qat_qconfig("x86")
    return quantization.prepare_qat(layer.train()).eval()


def test_an_observer_that_has_seen_nothing_is_unknown(profile):
    """Its first run changes the size of its buffers, which was a traceback."""
    done = measure(trace(training_aware(), (torch.randn(2, 8),), name="observed"), profile, threads=1, max_s=0.05)
    assert done.unknown
    assert all(sentence.endswith("run the model once before opclock has it") for sentence in done.unknown)


def test_an_observer_that_has_run_is_timed(profile):
    module, inputs_ = training_aware(), (torch.randn(2, 8),)
    module(*inputs_)
    assert measure(trace(module, inputs_, name="observed"), profile, threads=1, max_s=0.05).unknown == ()
