"""Op calls are timed on the model's own weights, which they must not change."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from opclock.estimation.estimate import estimate
from opclock.timing.inputs import Arguments
from opclock.timing.measure import measure
from opclock.timing.model_weights import ModelWeights
from opclock.tracing.forward import Forward
from opclock.tracing.recorder import trace


class Counting(nn.Module):
    """Changes a buffer in every inference, and reads a part of another."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.register_buffer("count", torch.zeros(8))
        self.register_buffer("places", torch.arange(64.0).reshape(8, 8))

    def forward(self, x):
        self.count += 1
        return self.linear(x) + self.count + self.places[:2]


def lent(model: nn.Module, *inputs: torch.Tensor) -> list[int]:
    """Addresses of the arguments that are the model's own weights."""
    traced = trace(model, inputs)
    arguments = Arguments(traced, Forward(model, inputs))
    own = {tensor.data_ptr() for tensor in model.state_dict().values()}
    return [tensor.data_ptr() for call in traced.calls for tensor in arguments.bind(call).tensors
            if tensor.data_ptr() in own]  # fmt: skip


def test_the_model_s_own_weights_are_bound_with_their_requires_grad():
    model = nn.Sequential(nn.Linear(4, 4), nn.Conv1d(2, 2, 1).requires_grad_(False))
    traced = trace(model, (torch.randn(2, 4),))
    arguments = Arguments(traced, Forward(model, (torch.randn(2, 4),)))
    for call, layer in zip(traced.calls, model, strict=True):
        _, weight, bias = arguments.bind(call).tensors
        assert weight.data_ptr() == layer.weight.data_ptr()
        assert bias.data_ptr() == layer.bias.data_ptr()
        assert weight.requires_grad == layer.weight.requires_grad
        assert not weight.is_inference()


def test_a_transposed_weight_is_read_where_the_model_has_it():
    class Transposed(nn.Linear):
        def forward(self, x):
            return x.matmul(self.weight.mT)

    model = Transposed(8, 4)
    assert model.weight.data_ptr() in lent(model, torch.randn(2, 8))


def test_a_weight_that_two_modules_share_is_one():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    assert lent(model, torch.randn(2, 4)).count(model[0].weight.data_ptr()) == 2


def test_buffers_are_not_lent():
    model = Counting()
    found = lent(model, torch.randn(2, 8))
    assert model.linear.weight.data_ptr() in found
    assert model.count.data_ptr() not in found
    assert model.places.data_ptr() not in found


def test_neither_what_the_model_changes_nor_a_part_is_lent():
    class Changing(nn.Module):
        def __init__(self):
            super().__init__()
            self.changed = nn.Parameter(torch.rand(4, 8), requires_grad=False)
            self.rows = nn.Parameter(torch.rand(4, 8))

        def forward(self, x):
            self.changed.mul_(0.5)
            return x @ self.changed.mT + (x[:, :1] * self.rows[:1, :4])

    model = Changing()
    found = lent(model, torch.rand(2, 8))
    assert model.changed.data_ptr() not in found
    assert found.count(model.rows.data_ptr()) == 1  # for the view that is taken of all of it


class Normed(nn.Module):
    """Normalises by the statistics of its input, and keeps them in buffers, in evaluation mode as well."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("variance", torch.ones(3))

    def forward(self, x):
        return nn.functional.batch_norm(x, self.mean, self.variance, training=True, momentum=0.5)


NORMS = {
    "functional": Normed,
    "batch": lambda: nn.BatchNorm2d(3),
    "instance": lambda: nn.InstanceNorm2d(3, track_running_stats=True),
}


@pytest.mark.parametrize("make", NORMS.values(), ids=NORMS)
def test_running_statistics_come_from_the_model_s_own_data_alone(profile, make):
    """batch_norm does not say that it changes them: timed on lent ones, it took in random values."""
    torch.manual_seed(0)
    model = make().train()
    image = torch.randn(2, 3, 8, 8) + 5.0
    traced = trace(model, (image,))
    for _ in range(400):  # until they stay
        model(image)
    before = {name: value.clone() for name, value in model.state_dict().items() if "tracked" not in name}
    measure(traced, profile, forward=Forward(model, (image,)), max_s=0.05)
    for name, value in before.items():
        torch.testing.assert_close(model.state_dict()[name], value)


def test_weights_that_pytorch_cannot_add_up_are_timed(profile):
    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(2048, 1024).to(torch.float8_e4m3fn), requires_grad=False)

        def forward(self, x):
            return x @ self.weight.to(torch.float32)

    model, rows = Small(), torch.randn(1, 2048)
    traced = trace(model, (rows,))
    measure(traced, profile, forward=Forward(model, (rows,)), max_s=0.05)
    assert estimate(traced, profile).coverage.unknown == 0


def test_another_model_than_the_trace_s_lends_nothing():
    traced = trace(nn.Linear(4, 4), (torch.randn(2, 4),))
    weights = ModelWeights(traced, Forward(nn.Linear(4, 5), (torch.randn(2, 4),)))
    _, weight, _ = traced.calls[0].call.tensors()
    assert weights.tensor(traced.calls[0].reads[1], weight) is None
    assert ModelWeights(traced, None).tensor(traced.calls[0].reads[1], weight) is None


@pytest.mark.parametrize("training", [False, True])
def test_measuring_leaves_the_model_s_weights_as_they_are(profile, training):
    layers = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 8), Counting())
    model = nn.Sequential(*layers).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items() if "count" not in name}
    image = torch.randn(2, 3, 8, 8)
    traced = trace(model, (image,))
    measure(traced, profile, forward=Forward(model, (image,)), max_s=0.05)
    assert estimate(traced, profile).total_s > 0
    after = model.state_dict()
    if training:  # a real inference changes these as well
        before = {name: value for name, value in before.items() if "running" not in name and "tracked" not in name}
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_weights_that_are_no_numbers_are_timed(profile):
    model = nn.Linear(8, 8)
    nn.init.constant_(model.weight, float("nan"))
    traced = trace(model, (torch.randn(2, 8),))
    measure(traced, profile, forward=Forward(model, (torch.randn(2, 8),)), max_s=0.05)
    assert estimate(traced, profile).coverage.unknown == 0
