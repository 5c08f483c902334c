"""Kinds of models that people bring: each is traced as it runs, and its host played."""

from __future__ import annotations

from contextlib import nullcontext, suppress

import numpy as np
import pytest
import torch
from torch import nn

from opclock.errors import OpCallError, TraceError
from opclock.timing.host_playback import PlayedHost
from opclock.timing.reference import forward_of
from opclock.tracing.recorder import trace
from opclock.tracing.trace import Trace

WAYS = pytest.mark.parametrize("real", [None, False, True])


def names(traced):
    return [traced_call.call.name for traced_call in traced.calls]


def play(traced, model, inputs):
    return PlayedHost(traced, forward_of(model, inputs, steps=traced.steps)).alone()


class Cast(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.last = nn.Conv2d(2, 4, 1), nn.Linear(4, 4)

    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16):
            y = self.conv(x).relu()
        return self.last(y.mean((2, 3)).float())


@WAYS
def test_autocast_is_recorded_with_its_casts_and_played(real):
    model, inputs = Cast(), (torch.randn(1, 2, 4, 4),)
    traced = trace(model, inputs, real=real)
    assert names(traced) == ["to", "to", "to", "conv2d", "relu", "mean", "to", "linear"]
    assert traced.calls[3].call.tensors()[0].dtype == "bfloat16"
    assert play(traced, model, inputs).shape == (9,)


class Spectrum(nn.Module):
    def __init__(self):
        super().__init__()
        self.filter = nn.Parameter(torch.randn(5, dtype=torch.complex64))

    def forward(self, x):
        return torch.fft.irfft(torch.fft.rfft(x) * self.filter, n=8), torch.view_as_complex(x.view(-1, 4, 2)).abs()


@WAYS
def test_complex_numbers_and_fourier_transforms(real):
    model, inputs = Spectrum(), (torch.randn(2, 8),)
    traced = trace(model, inputs, real=real)
    assert {"fft_rfft", "fft_irfft", "view_as_complex"} <= set(names(traced))
    play(traced, model, inputs)


class Doubled(torch.Tensor):
    """A class that changes nothing but the type of results."""


def test_a_weight_of_a_subclass():
    model = nn.Linear(4, 4)
    model.weight = nn.Parameter(torch.randn(4, 4).as_subclass(Doubled))
    inputs = (torch.randn(1, 4),)
    traced = trace(model, inputs)
    assert names(traced) == ["linear"]
    assert isinstance(model.weight, Doubled)
    play(traced, model, inputs)


class Samples(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.generator = nn.Linear(4, 6), torch.Generator().manual_seed(0)

    def forward(self, x):
        chances = self.layer(x).softmax(-1)
        return torch.multinomial(chances, 1, generator=self.generator), torch.bernoulli(
            chances, generator=self.generator
        )


@WAYS
def test_samples_by_a_generator_leave_it_as_it_was(real):
    model, inputs = Samples(), (torch.randn(2, 4),)
    before = model.generator.get_state()
    traced = trace(model, inputs, real=real)
    assert names(traced) == ["linear", "softmax", "multinomial", "bernoulli"]
    assert torch.equal(model.generator.get_state(), before)
    play(traced, model, inputs)


class Yields(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
            yield x


def test_a_result_that_is_a_generator_is_consumed():
    model, inputs = Yields(), (torch.randn(1, 4),)
    traced = trace(model, inputs)
    assert names(traced) == ["linear", "linear"]
    play(traced, model, inputs)


class Chooses(nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda t: t.relu(), lambda t: t.sigmoid(), (x,))


def test_cond_takes_the_branch_of_the_data():
    assert names(trace(Chooses(), (torch.ones(3),)))[-1] == "relu"
    assert names(trace(Chooses(), (-torch.ones(3),)))[-1] == "sigmoid"
    with pytest.raises(TraceError, match="without data"):
        trace(Chooses(), (torch.ones(3),), real=False)


class Places(nn.Module):
    def forward(self, x):
        kept, at = torch.ones(2, 2), x.argmin()
        kept[(at,), (at,)] = 0.0  # PyTorch makes tensors of the tuples, from the values inside
        return x * kept


def test_values_that_compiled_code_reads_need_data():
    assert trace(Places(), (torch.ones(2, 2),)).real
    with pytest.raises(TraceError, match="without data"):
        trace(Places(), (torch.eye(2),), real=False)


@pytest.fixture(scope="module")
def operators():
    """Two custom operators: one with a fake kernel, and one without."""
    with torch.library._scoped_library("opclock_kinds", "FRAGMENT") as library:
        for name in ("known", "bare"):
            library.define(f"{name}(Tensor x) -> Tensor")
            library.impl(name, torch.relu if name == "bare" else torch.sigmoid, "CPU")
        torch.library.register_fake("opclock_kinds::known", torch.empty_like, lib=library)
        yield torch.ops.opclock_kinds


@pytest.mark.parametrize("name", ["known", "bare"])
def test_custom_operators_with_and_without_a_fake_kernel(operators, name):
    class Calls(nn.Module):
        def forward(self, x):
            return getattr(operators, name)(x * 2) + 1

    model, inputs = Calls(), (torch.randn(3),)
    traced = trace(model, inputs)
    assert names(traced) == ["mul", name, "add"]
    assert traced.real == (name == "bare")
    assert (name == "bare") == ("as fake tensors fail" in traced.note)
    play(traced, model, inputs)
    if name == "bare":
        with pytest.raises(TraceError):
            trace(model, inputs, real=False)


class Sparse(nn.Module):
    def forward(self, x):
        edges = torch.sparse_coo_tensor(torch.tensor([[0, 1], [1, 0]]), x[:, 0], (2, 2))
        return torch.sparse.mm(edges, x)


@WAYS
def test_a_sparse_tensor_is_one_line_with_what_to_do(real):
    with pytest.raises(TraceError, match=r"sparse tensor.*index_add_") as caught:
        trace(Sparse(), (torch.randn(2, 3),), real=real)
    assert "\n" not in str(caught.value)


class Forks(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        left = torch.jit.fork(self.left, x)
        return torch.jit.wait(left) + self.right(x)


@pytest.mark.parametrize("scripted", [False, True])
def test_op_calls_of_fork_are_recorded_and_never_end_the_process(scripted):
    model, inputs = Forks().eval(), (torch.randn(1, 4),)
    if scripted:
        model = torch.jit.script(model)
    traced = trace(model, inputs)
    assert names(traced) == ["linear", "linear", "add"]
    assert "Traceback" not in traced.note
    with suppress(OpCallError) if scripted else nullcontext():  # TorchScript's threads cannot be played
        play(traced, model, inputs)


class Twice(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x * 2

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass


class Maps(nn.Module):
    """Transforms of functions: vmap, one in another, and the gradient by an argument."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 3))

    def forward(self, x):
        each = torch.vmap(lambda row: torch.tanh(row @ self.weight) + torch.ones(3))(x)
        pairs = torch.vmap(lambda one: torch.vmap(lambda other: (one - other).square().sum())(x))(x)
        return torch.vmap(Twice.apply)(each), pairs, torch.func.grad(lambda y: y.sin().sum())(x)


@WAYS
def test_transforms_of_functions_are_played(real):
    model, inputs = Maps(), (torch.randn(2, 3),)
    traced = trace(model, inputs, real=real)
    assert {"tanh", "pow", "cos"} <= set(names(traced))
    assert play(traced, model, inputs).shape == (len(traced.calls) + 1,)
    assert torch.equal(model(*inputs)[2], inputs[0].cos())  # kernels are on again


class Counts(nn.Module):
    def forward(self, x):
        x = torch.cond(x.sum() > 0, lambda t: t.relu(), lambda t: t.sigmoid(), (x,))
        return torch.while_loop(lambda i, _y: i < 3, lambda i, y: (i + 1, y * 2), (torch.tensor(0), x))


def test_control_flow_is_played_on_the_branch_of_the_data():
    for sign, branch in ((1, "relu"), (-1, "sigmoid")):
        model, inputs = Counts(), (sign * torch.ones(3),)
        traced = trace(model, inputs)
        assert names(traced).count("mul") == 3
        assert branch in names(traced)
        assert play(traced, model, inputs).shape == (len(traced.calls) + 1,)


class Conjugates(nn.Module):
    def forward(self, x):
        return torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(x).conj().transpose(0, 1), n=4)


@WAYS
def test_conjugated_numbers_are_recorded_as_such_and_played(real):
    model, inputs = Conjugates(), (torch.randn(4, 4)[:, None],)
    traced = trace(model, inputs, real=real)
    assert "clone" in names(traced)
    assert [one.call.tensors()[0].conjugate for one in traced.calls if one.call.name == "transpose"] == [True]
    assert Trace.from_json(traced.to_json()) == traced
    play(traced, model, inputs)


def test_what_the_playback_cannot_follow_is_one_line():
    class Imaginary(nn.Module):
        def forward(self, x):
            return x.conj().imag * 2

    model, inputs = Imaginary(), (torch.randn(2, 3, dtype=torch.complex64),)
    with pytest.raises(OpCallError, match="cannot be played back") as caught:
        play(trace(model, inputs), model, inputs)
    assert "\n" not in str(caught.value)


class Telling(nn.Module):
    def forward(self, x, sizes):
        message = f"sizes {sizes}, input {x}"
        return torch.relu(x), message


@WAYS
def test_a_model_that_shows_tensors_as_text_is_played(real):
    model, inputs = Telling(), (torch.randn(1, 3), torch.tensor([[4, 4]]))
    traced = trace(model, inputs, real=real)
    assert names(traced) == ["relu"]
    assert play(traced, model, inputs).shape == (2,)
    host = PlayedHost(traced, forward_of(model, inputs))
    host.observe(kernel_s := np.zeros(1), np.zeros(2))
    assert kernel_s[0] > 0
