from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from opclock.errors import TraceError
from opclock.models.zoo import ZOO
from opclock.tracing.program import first_difference
from opclock.tracing.recorder import trace
from opclock.tracing.trace import Trace

PARAMETERS = {  # millions, from a widely used public collection of CIFAR-100 models
    "vgg16": 34.0, "inceptionv3": 22.3, "inceptionv4": 41.3, "resnet50": 23.7, "seresnet50": 26.5, "xception": 21.0,
    "mobilenet": 3.3, "mobilenetv2": 2.36, "shufflenet": 1.0, "shufflenetv2": 1.3,
}  # fmt: skip
EXPLAINED = {"shufflenetv2": 0.05}  # in the model's docstring


@pytest.mark.parametrize("name", ZOO)
def test_zoo_traces_as_it_runs(name):
    model, image = ZOO[name]().eval(), torch.randn(1, 3, 32, 32)
    fake, real = trace(model, (image,), name=name, real=False), trace(model, (image,), name=name, real=True)
    assert [call.call for call in fake.calls] == [call.call for call in real.calls]
    assert [call.outputs for call in fake.calls] == [call.outputs for call in real.calls]
    assert [call.module for call in fake.calls] == [call.module for call in real.calls]
    assert Trace.from_json(json.loads(json.dumps(fake.to_json()))) == fake
    assert fake.parameters / 1e6 == pytest.approx(PARAMETERS[name], rel=EXPLAINED.get(name, 0.02))
    assert model(image).shape == (1, 100)


class Tokens(nn.Module):
    """Views of a batch of one, which fake tensors give other strides, and a dropout that hands its input back."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.mix, self.drop = nn.Conv2d(8, 8, 3, padding=1), nn.Dropout(0.5)

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        y = self.drop(tokens) + self.attention(tokens, tokens, tokens)[0]
        image = y.reshape(1, 4, 4, 8).permute(0, 3, 1, 2)
        heads = y.view(1, 16, 2, 4).permute(0, 2, 1, 3).reshape(2, 1, 16, 4).transpose(1, 2)
        return self.mix(nn.functional.interpolate(image, scale_factor=2.0)), heads.reshape(-1, 4) * heads.reshape(-1, 4)


def test_fake_and_real_traces_have_the_same_strides_and_lifetimes():
    model, image = Tokens().eval(), torch.randn(1, 8, 4, 4)
    fake, real = trace(model, (image,), real=False), trace(model, (image,), real=True)
    assert [call.call for call in fake.calls] == [call.call for call in real.calls]
    assert [call.outputs for call in fake.calls] == [call.outputs for call in real.calls]
    assert [call.writes for call in fake.calls] == [call.writes for call in real.calls]
    lives = [[storage.freed_before for storage in traced.storages] for traced in (fake, real)]
    assert lives[0] == lives[1]


STRIDES = {
    "multiplied": lambda x: x * x,
    "scaled": lambda x: x * 2,
    "normalised": lambda x: nn.functional.layer_norm(x, x.shape[-1:]),
    "batch normalised": lambda x: nn.functional.batch_norm(x[0].transpose(1, 2), torch.zeros(16), torch.ones(16)),
    "batch normalised with weights": lambda x: nn.functional.batch_norm(
        x[0].transpose(1, 2), torch.zeros(16), torch.ones(16), torch.ones(16), torch.zeros(16)
    ),
    "copied": torch.clone,
    "made like it": torch.zeros_like,
    "sorted": lambda x: x.sort(-1)[0],
    "rolled": lambda x: x.roll(1, -1),
}


@pytest.mark.parametrize("name", STRIDES)
def test_dimensions_of_size_one_have_the_strides_of_a_real_run(name):
    class Net(nn.Module):
        def forward(self, x):
            return STRIDES[name](x)

    odd = torch.randn(256).as_strided((1, 1, 16, 16), (256, 16, 16, 1))
    queries = torch.randn(1, 1, 1, 256)[..., :16]
    heads = torch.randn(1, 1, 4, 16).transpose(1, 2)  # those of one query, as nn.MultiheadAttention has them
    for image in (odd, torch.randn(2, 8, 16, 16).to(memory_format=torch.channels_last)[:1], heads, queries):
        fake, real = trace(Net(), (image,), real=False), trace(Net(), (image,), real=True)
        assert [call.outputs for call in fake.calls] == [call.outputs for call in real.calls]


def test_batch_norm_of_another_size_is_refused_by_fake_tensors():
    class Net(nn.Module):
        def forward(self, x):
            return nn.functional.batch_norm(x, torch.zeros(3), torch.ones(3))

    with pytest.raises(TraceError, match="the forward of Net raised"):
        trace(Net(), (torch.ones(2, 4, 8, 8),), real=False)


def test_fast_attention_has_no_second_output_unless_asked():
    layer = nn.MultiheadAttention(8, 2, batch_first=True).eval()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x, x, x, need_weights=False)[0]

    x = torch.randn(1, 4, 8)
    fake, real = trace(Net().eval(), (x,), real=False), trace(Net().eval(), (x,), real=True)
    assert fake.calls[-1].call.name == "_native_multi_head_attention"
    assert not first_difference(fake, real)


def test_parameters_are_known_as_such():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    model[0].bias.requires_grad_(False)
    linear, norm = trace(model.eval(), (torch.randn(2, 4),)).calls
    assert [spec.requires_grad for spec in linear.call.tensors()] == [False, True, False]
    assert [spec.requires_grad for spec in norm.call.tensors()] == [False, True, True, False, False]
    assert trace(model, (torch.randn(2, 4),), real=True).calls[0].call == linear.call


def test_an_argument_given_twice_is_known_as_one():
    class Squares(nn.Module):
        def forward(self, x):
            left, right = x.chunk(2, 1)
            return x * x, torch.cat((x, left, x), 1), left * right

    square, joined, product = [
        call.call.tensors() for call in trace(Squares(), (torch.randn(2, 4),)).calls if call.call.name != "chunk"
    ]
    assert [spec.same_as for spec in square] == [None, 0]
    assert [spec.same_as for spec in joined] == [None, None, 0]
    assert [spec.same_as for spec in product] == [None, None]  # of one storage, and two tensors


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x, scale=1.0):
        return {"sum": [self.second(torch.relu_(self.first(x))) * scale + x, x.view(-1)]}


def test_storages_follow_the_data():
    traced = trace(Residual().eval(), (torch.randn(2, 3, 4, 4),))
    kinds = [traced.storages[number].kind for number in traced.calls[0].reads]
    assert kinds == ["input", "weight", "weight"]
    conv, relu = traced.calls[0], traced.calls[1]
    assert relu.call.operator == "aten::relu_"
    assert relu.reads == relu.writes == conv.writes  # in place
    assert traced.calls[-1].writes == ()  # a view
    assert traced.storages[conv.writes[0]].freed_before <= 4
    assert traced.calls[0].module == "first"
    assert traced.calls[0].module_type == "Conv2d"
    assert traced.module_calls == 3


def test_working_set_counts_weights_and_the_most_activations_alive():
    traced = trace(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.ReLU(), nn.ReLU()), (torch.randn(4, 8),))
    weights = (8 * 8 + 8) * 4
    assert weights + 2 * 4 * 8 * 4 <= traced.working_set <= weights + 3 * 4 * 8 * 4


def test_plain_numbers_keyword_inputs_and_integer_inputs():
    traced = trace(Residual().eval(), {"x": torch.randn(1, 3, 4, 4), "scale": 0.18})
    assert traced.calls[3].call.args[1] == 0.18
    embedded = trace(nn.Embedding(10, 4), (torch.tensor([[1, 2]]),))
    assert embedded.inputs[0].dtype == "int64"
    assert embedded.dtype == "float32"


def test_tied_weights_are_one_storage():
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    traced = trace(nn.Sequential(first, second), (torch.randn(1, 4),))
    assert traced.calls[0].reads[1] == traced.calls[1].reads[1]


class Dependent(nn.Module):
    def forward(self, x):
        return x[x > 0].sum() if x.sum().item() > -1e9 else x


def test_shapes_that_depend_on_data_need_a_real_run():
    with pytest.raises(TraceError, match="real=True"):
        trace(Dependent(), (torch.randn(5),), real=False)
    traced = trace(Dependent(), (torch.randn(5),))
    assert len(traced.calls) >= 4
    assert traced.real
    assert "DataDependentOutputException" in traced.note
    assert Trace.from_json(traced.to_json()) == traced


def test_input_that_does_not_fit_is_one_line():
    with pytest.raises(TraceError, match="check that the input fits") as caught:
        trace(nn.Linear(3, 3), (torch.randn(1, 5),))
    assert "\n" not in str(caught.value)


def test_tracing_leaves_the_model_as_it_was():
    model = nn.Linear(3, 3)
    before = model.weight.clone()
    trace(model, (torch.randn(1, 3),))
    assert torch.equal(model.weight, before)
    assert type(model.weight) is nn.Parameter
    assert model.weight.requires_grad


def test_modules_that_list_their_parameters_keep_them():
    model, x = nn.GRU(3, 4), torch.randn(2, 1, 3)
    before = model(x)[0]
    trace(model, (x,))
    assert all(listed is own for listed, own in zip(model._flat_weights, model.parameters(), strict=True))
    assert torch.equal(model(x)[0], before)


def test_foreign_and_damaged_trace_files(tmp_path):
    file = tmp_path / "t.json"
    for text, complaint in (("{}", "not a trace"), ("[]", "not a trace"), ("nonsense", "not JSON"),
                            ('{"schema": "opclock.trace/1"}', "damaged trace")):  # fmt: skip
        file.write_text(text)
        with pytest.raises(TraceError, match=complaint):
            Trace.load(file)
    with pytest.raises(TraceError, match="cannot read"):
        Trace.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", {}),
        ("storages", [["weight", -1, 0]]),
        ("storages", []),
        ("inputs", [{"tensor": "float32", "shape": "abc", "stride": [1]}]),
        ("inputs", [{"tensor": "float32", "shape": [2, 3], "stride": [1]}]),
    ],
)
def test_a_changed_trace_file_is_refused(name, value):
    """Such files were taken, and raised later or were estimated without a word."""
    data = trace(nn.Linear(3, 4), (torch.randn(2, 3),)).to_json() | {name: value}
    with pytest.raises(TraceError, match="damaged trace"):
        Trace.from_json(data)


def test_a_model_with_a_sparse_buffer_is_one_line():
    """It was a traceback."""
    model = nn.Linear(3, 3)
    model.register_buffer("links", torch.eye(3).to_sparse())
    with pytest.raises(TraceError, match="sparse_coo tensor"):
        trace(model, (torch.randn(3, 3),))


def test_what_is_no_module_is_refused():
    with pytest.raises(TraceError, match=r"<function>: give a torch\.nn\.Module"):
        trace(lambda x: x, (torch.zeros(1),))


def test_a_refused_trace_prints_one_line_only(capfd):
    with pytest.raises(TraceError, match="check that the input fits"):
        trace(nn.Linear(3, 4), (torch.zeros(1, 7),))
    with pytest.raises(TraceError, match="check that the input fits"):
        trace(nn.Conv2d(3, 4, 3), (torch.zeros(1, 7, 9, 9),))
    assert capfd.readouterr().err == ""


def test_a_trace_file_is_named_where_it_is_refused(tmp_path):
    (tmp_path / "o.json").write_text("{}")
    with pytest.raises(TraceError, match=r"o\.json is not a trace"):
        Trace.load(str(tmp_path / "o.json"))
    with pytest.raises(TraceError, match=r"missing\.json"):
        Trace.load("missing.json")


def test_an_input_that_is_overwritten_counts_in_the_working_set():
    """It counted as nothing, so that its kernel was measured among smaller caches."""
    assert trace(torch.nn.ReLU(inplace=True), (torch.ones(1000),)).working_set == 4000


def test_a_tensor_without_dimensions_is_a_scalar_in_words():
    """It was an empty place behind a comma."""
    assert trace(_Product(), (torch.ones(2), torch.tensor(3.0))).input_text == "2,scalar"


class _Product(torch.nn.Module):
    def forward(self, x, factor):
        return x * factor
