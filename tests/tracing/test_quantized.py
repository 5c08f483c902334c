"""Quantised models: traced, rebuilt and timed."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.ao import quantization

import opclock
from opclock import trace
from opclock.errors import DataNeededError, OpCallError, TraceError
from opclock.report.trace_table import summary
from opclock.timing.inputs import Arguments
from opclock.timing.quantized import new_quantized, packed
from opclock.timing.reference import forward_of
from opclock.timing.verification import pytorch_answer
from opclock.tracing import packing
from opclock.tracing.macs import macs, model_macs, moved_bytes, uncounted
from opclock.tracing.op_call import PackedParams, Quantization, TensorSpec, decode, encode
from opclock.tracing.operator_classes import class_of
from opclock.tracing.packing import quantization_of
from opclock.tracing.trace import Trace

ENGINES = [name for name in ("x86", "qnnpack", "onednn") if name in torch.backends.quantized.supported_engines]
pytestmark = pytest.mark.filterwarnings("ignore")  # torch.ao warns that it will move


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant, self.dequant = quantization.QuantStub(), quantization.DeQuantStub()
        self.conv, self.relu, self.head = nn.Conv2d(4, 8, 3, groups=2), nn.ReLU(), nn.Linear(8, 4)
        self.plus = torch.ao.nn.quantized.FloatFunctional()

    def forward(self, x):
        x = self.relu(self.conv(self.quant(x)))
        x = self.plus.add(x, x)
        return self.dequant(self.head(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)))


def test_packed_parameters_are_counted():
    """A quantised model had "0 parameters"."""
    network = nn.Sequential(nn.Linear(8, 4), nn.LSTM(4, 3)).eval()
    count = sum(parameter.numel() for parameter in network.parameters())
    dynamic = quantization.quantize_dynamic(network, {nn.Linear, nn.LSTM})
    assert trace(dynamic, (torch.randn(2, 1, 8),)).parameters == count
    frozen = trace(torch.jit.freeze(torch.jit.script(nn.Linear(8, 4).eval())), (torch.randn(2, 8),))
    assert "parameters" not in summary(frozen)
    assert "36 parameters" in summary(trace(nn.Linear(8, 4), (torch.randn(2, 8),)))


@pytest.fixture(params=ENGINES)
def engine(request):
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = request.param
    yield request.param
    torch.backends.quantized.engine = before


def static(engine):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = Network().eval()
        module.qconfig = quantization.get_default_qconfig(engine)
        prepared = quantization.prepare(quantization.fuse_modules(module, [["conv", "relu"]]))
        prepared(torch.randn(1, 4, 8, 8))
        return quantization.convert(prepared), (torch.randn(1, 4, 8, 8),)


class Sequence(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        output = self.layer(x)
        return output[0] if isinstance(output, tuple) else output


# MACs of a layer on three steps of two sequences, or of a cell on two: gates times (inputs + states) times states.
RECURRENT = {
    "LSTM": (lambda: nn.LSTM(8, 16, num_layers=2, bidirectional=True), (3, 2, 8), 6 * 4 * 16 * 2 * (24 + 48)),
    "GRU": (lambda: nn.GRU(8, 16), (3, 2, 8), 6 * 3 * 16 * 24),
    "LSTMCell": (lambda: nn.LSTMCell(8, 16), (2, 8), 2 * 4 * 16 * 24),
    "GRUCell": (lambda: nn.GRUCell(8, 16), (2, 8), 2 * 3 * 16 * 24),
    "RNNCell": (lambda: nn.RNNCell(8, 16), (2, 8), 2 * 16 * 24),
}


def recurrent(kind, dtype=torch.qint8):
    make, shape, _ = RECURRENT[kind]
    return quantization.quantize_dynamic(Sequence(make()).eval(), {getattr(nn, kind)}, dtype), (torch.randn(shape),)


def dynamic():
    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return quantization.quantize_dynamic(net, {nn.Linear}, torch.qint8), (torch.randn(4, 64),)


def test_a_static_model_is_traced_with_scales_and_packed_parameters(engine):
    """It could not be recorded: "an argument of type ScriptObject"."""
    traced = trace(*static(engine))
    calls = {one.call.name: one for one in traced.calls}
    assert {"quantize_per_tensor", "conv2d_relu", "add", "linear", "dequantize"} <= set(calls)
    image, parameters, scale, zero_point = calls["conv2d_relu"].call.args
    assert image.dtype == "quint8"
    assert image.quantization.scheme == "per_tensor_affine"
    (output,) = calls["conv2d_relu"].outputs
    assert (output.quantization.scale, output.quantization.zero_point) == (pytest.approx(scale), zero_point)
    assert parameters.prepack == "conv2d_prepack"
    assert parameters.engine == engine
    assert parameters.args[0].shape == (8, 2, 3, 3)
    assert parameters.args[0].quantization.axis == (None if engine == "qnnpack" else 0)
    assert parameters.args[2:] == ((1, 1), (0, 0), (1, 1), 2)
    assert Trace.from_json(traced.to_json()) == traced


def timed(module, inputs, folder):
    """Trace, measure and estimate a model. Returns the trace."""
    traced = trace(module, inputs)
    with opclock.open_profile(folder / "board.sqlite") as profile:
        opclock.measure(traced, profile, forward=forward_of(module, inputs), threads=1, max_s=0.1)
        estimated = opclock.estimate(traced, profile, threads=1)
    assert estimated.complete
    assert estimated.total_s > 0
    return traced


@pytest.mark.parametrize("make", [dynamic, lambda: static(torch.backends.quantized.engine)], ids=["dynamic", "static"])
def test_quantised_models_are_timed_and_estimated(make, engine, tmp_path):
    timed(*make(), tmp_path)


@pytest.mark.parametrize("kind", RECURRENT)
def test_recurrent_layers_are_traced_counted_and_rebuilt(kind, engine):
    """They were refused: "an argument of the class CellParamsBase"."""
    traced = trace(*recurrent(kind))
    call = traced.calls[-1]
    assert sum(map(macs, traced.calls)) == RECURRENT[kind][2]
    assert not uncounted(traced)
    assert Trace.from_json(traced.to_json()) == traced
    pytorch_answer(call.call, Arguments(traced).bind(call), ())


def test_a_recurrent_layer_is_timed_and_estimated(tmp_path):
    timed(*recurrent("LSTM"), tmp_path)


@pytest.mark.skipif("x86" not in ENGINES, reason="float16 weights need FBGEMM")
def test_float16_weights_are_packed_as_float16():
    before, torch.backends.quantized.engine = torch.backends.quantized.engine, "x86"
    try:
        traced = trace(*recurrent("GRU", torch.float16))
        call = traced.calls[-1]
        pytorch_answer(call.call, Arguments(traced).bind(call), ())
        (cell,) = (value for value in call.call.args[2])
        assert (cell.prepack, cell.args[0].prepack) == ("make_quantized_cell_params_fp16", "linear_prepack_fp16")
    finally:
        torch.backends.quantized.engine = before


def test_scales_are_recorded_with_two_digits():
    """Their last digits differ from machine to machine, and no measurement would be found on another one."""
    quantised = torch.quantize_per_tensor(torch.ones(4), 0.0123456, 3, torch.quint8)
    traced = trace(Decomposed(0.0123456), (torch.randn(4),))
    assert quantization_of(quantised).scale == 0.012
    assert traced.calls[0].call.args[1] == 0.012


def test_products_of_packed_weights_are_counted():
    """Convolutions with packed weights counted 0 MACs."""
    counted = {one.call.name: macs(one) for one in trace(*static(ENGINES[0])).calls}
    assert counted["conv2d_relu"] == 8 * 36 * 2 * 9
    assert counted["linear"] == 8 * 4
    assert sum(map(macs, trace(*dynamic()).calls)) == 4 * (64 * 128 + 128 * 10)


def test_packed_weights_are_bytes_of_the_model():
    """They counted as nothing, neither in the working set nor in what an op call moves."""
    traced = trace(*dynamic())
    linear = next(one for one in traced.calls if one.call.name == "linear_dynamic")
    weights = 64 * 128 + 128 * 10 + 4 * (128 + 10)
    assert weights < traced.working_set < weights + 4 * 4 * (64 + 2 * 128 + 10) + 1
    assert moved_bytes(linear) == 64 * 128 + 4 * 128 + 4 * 4 * (64 + 128)


def test_each_call_has_packed_weights_of_its_own():
    traced = trace(*dynamic())
    first, second = (Arguments(traced).bind(one) for one in traced.calls if one.call.name == "linear_dynamic")
    weights = [torch.ops.quantized.linear_unpack(bound.args[1])[0] for bound in (first, second)]
    assert [tuple(weight.shape) for weight in weights] == [(128, 64), (10, 128)]


@pytest.mark.parametrize(
    ("shape", "stride", "quantization"),
    [
        ((2, 3), (3, 1), Quantization("per_tensor_affine", 0.5, 3)),
        ((1, 4, 5, 5), (100, 1, 20, 4), Quantization("per_tensor_affine", 0.5, 3)),
        ((8, 4), (4, 1), Quantization("per_channel_affine", 0.5, 0, 0)),
    ],
)
@pytest.mark.parametrize("dtype", ["qint8", "quint8", "qint32"])
def test_a_quantised_tensor_is_made_as_its_spec_says(shape, stride, quantization, dtype):
    spec = TensorSpec(shape, stride, dtype, quantization=quantization)
    made = new_quantized(spec)
    assert (made.shape, made.stride(), str(made.dtype)[6:]) == (shape, stride, dtype)
    assert str(made.qscheme())[6:] == quantization.scheme
    if quantization.axis is None:
        assert (made.q_scale(), made.q_zero_point()) == (0.5, 3)
    assert len(set(made.int_repr().flatten().tolist())) > 1
    assert decode(encode(spec)) == spec


@pytest.mark.parametrize("kind", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize("bits", [8, 4])
def test_embeddings_are_rebuilt(kind, bits):
    """Their weights, with zero points that are no integers, could not be made."""
    four, eight = quantization.float_qparams_weight_only_qconfig_4bit, quantization.float_qparams_weight_only_qconfig
    module = nn.Sequential(kind(100, 16)).eval()
    module[0].qconfig = four if bits == 4 else eight
    traced = trace(quantization.convert(quantization.prepare(module)), (torch.randint(0, 100, (4, 6)),))
    (call,) = traced.calls
    pytorch_answer(call.call, Arguments(traced).bind(call), ())
    assert class_of(call.call) == "index"


class Decomposed(nn.Module):
    """As PT2E writes it: quantising and dequantising around an operator on floating-point numbers."""

    def __init__(self, scale=0.05):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        from torch.ao.quantization.fx import _decomposed  # noqa: F401 - registers the operators

        operators = torch.ops.quantized_decomposed
        how = (self.scale, 3, 0, 255, torch.uint8)
        x = operators.dequantize_per_tensor(operators.quantize_per_tensor(x, *how), *how)
        scale, zero_point = operators.choose_qparams.tensor(x, 0, 255, 1e-5, torch.uint8)
        found = (scale, zero_point, 0, 255, torch.uint8)
        return operators.dequantize_per_tensor.tensor(operators.quantize_per_tensor.tensor(x, *found), *found)


def test_decomposed_operators_are_quantisation(tmp_path):
    traced = timed(Decomposed(), (torch.randn(2, 8),), tmp_path)
    assert [class_of(one.call) for one in traced.calls] == ["quantisation"] * 5
    assert not uncounted(traced)


class FourBits(nn.Module):
    def __init__(self):
        super().__init__()
        weight = torch.randint(0, 16, (16, 64), dtype=torch.int32)
        self.register_buffer("weight", torch.ops.aten._convert_weight_to_int4pack_for_cpu(weight, 1))
        self.register_buffer("scales", torch.rand(2, 16, 2, dtype=torch.bfloat16))

    def forward(self, x):
        return torch.ops.aten._weight_int4pack_mm_for_cpu(x, self.weight, 32, self.scales)


def test_products_with_int4_weights_are_timed_and_counted(tmp_path):
    traced = timed(FourBits(), (torch.randn(4, 64, dtype=torch.bfloat16),), tmp_path)
    assert model_macs(traced) == 4 * 64 * 16


def test_packed_parameters_need_a_real_run():
    """The note of the trace held PyTorch's hints for its own staff."""
    module, inputs = dynamic()
    said = "quantized::linear_dynamic takes packed parameters, which need a real run"
    assert trace(module, inputs).note.startswith(f"traced by a real run, as fake tensors fail: {said}")
    with pytest.raises(DataNeededError, match=said):
        trace(module, inputs, real=False)


@pytest.mark.parametrize("finish", [lambda script: script, torch.jit.freeze], ids=["scripted", "frozen"])
def test_torchscript_of_a_quantised_model_takes_a_real_run(finish):
    """A frozen MobileNetV2 ended the process: an error inside PyTorch's interpreter, which fake tensors cause."""
    module, inputs = dynamic()
    traced = trace(finish(torch.jit.script(module)), inputs)
    assert [one.call.name for one in traced.calls].count("linear_dynamic") == 2
    assert "TorchScript of a quantised model needs a real run" in traced.note


def test_what_cannot_be_recorded_is_named_with_its_operator(monkeypatch):
    monkeypatch.setattr(packing, "PREPACKED", {})
    with pytest.raises(TraceError, match=r"quantized::linear_dynamic: .*LinearPackedParamsBase.*leave this module as"):
        trace(*dynamic(), real=True)


def test_parameters_of_a_backend_that_is_missing_are_named():
    spec = TensorSpec((8, 8), (8, 1), "qint8", quantization=Quantization("per_tensor_affine", 0.5, 0))
    with pytest.raises(OpCallError, match="none_such"):
        packed(PackedParams("linear_prepack", (spec, None), "none_such"))
    with pytest.raises(OpCallError, match="nothing_prepack"):
        packed(PackedParams("nothing_prepack", (spec,), torch.backends.quantized.engine))
