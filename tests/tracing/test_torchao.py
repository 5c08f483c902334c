"""Models that torchao has quantised: its subclasses are recorded at the operators that run."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import opclock
from opclock import trace
from opclock.timing.reference import forward_of
from opclock.tracing.macs import model_macs, uncounted
from opclock.tracing.operator_classes import class_of

quantization = pytest.importorskip("torchao.quantization")
pytestmark = pytest.mark.filterwarnings("ignore")  # torchao warns of what it deprecates
INPUTS = (torch.randn(4, 64),)


def network(config=None):
    module = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 32)).eval()
    if config is not None:
        quantization.quantize_(module, config)
    return module


def converted(quantizer):
    from torchao.quantization.pt2e import quantize_pt2e

    prepared = quantize_pt2e.prepare_pt2e(torch.export.export(network(), INPUTS).module(), quantizer)
    prepared(*INPUTS)
    return quantize_pt2e.convert_pt2e(prepared)


def x86():
    module = pytest.importorskip("torchao.quantization.pt2e.quantizer.x86_inductor_quantizer")
    return converted(module.X86InductorQuantizer().set_global(module.get_default_x86_inductor_quantization_config()))


def xnnpack():
    module = pytest.importorskip("executorch.backends.xnnpack.quantizer.xnnpack_quantizer")
    return converted(module.XNNPACKQuantizer().set_global(module.get_symmetric_quantization_config()))


def int4():
    workflow = pytest.importorskip("torchao.prototype.quantization.int4.inference_workflow")
    return network(workflow.PrototypeInt4WeightOnlyConfig(group_size=32))


KINDS = {
    "int8 weights": (lambda: network(quantization.Int8WeightOnlyConfig()), "aten::mm"),
    "int8 dynamic": (lambda: network(quantization.Int8DynamicActivationInt8WeightConfig()), "aten::_int_mm"),
    "int4 weights": (int4, "aten::_weight_int4pack_mm_for_cpu"),
    "PT2E for Inductor": (x86, "aten::linear"),
    "PT2E for XNNPACK": (xnnpack, "aten::linear"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_products_are_recorded_at_their_kernels_and_timed(kind, tmp_path):
    make, product = KINDS[kind]
    module = make()
    traced = trace(module, INPUTS)
    assert [one.call.operator for one in traced.calls].count(product) == 2
    assert model_macs(traced) == 4 * (64 * 128 + 128 * 32)
    assert not uncounted(traced)
    quantises = "quantisation" in {class_of(one.call) for one in traced.calls}
    assert quantises == ("weights" not in kind)
    with opclock.open_profile(tmp_path / "board.sqlite") as profile:
        opclock.measure(traced, profile, forward=forward_of(module, INPUTS), threads=1, max_s=0.1)
        assert opclock.estimate(traced, profile, threads=1).complete
