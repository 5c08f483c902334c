"""A trace is of the program that runs, and leaves the model as it was."""

from __future__ import annotations

import random
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from opclock.errors import TraceError, UnsteadyError
from opclock.tracing.recorder import trace

WAYS = pytest.mark.parametrize("real", [None, False, True])


def names(traced):
    return [traced_call.call.name for traced_call in traced.calls]


class Positions(nn.Module):
    """Makes a table in its first run and keeps it."""

    def __init__(self):
        super().__init__()
        self.table, self.layer = None, nn.Linear(8, 8)

    def forward(self, x):
        if self.table is None:
            self.table = torch.outer(torch.arange(x.shape[1]), torch.arange(8) / 8).cos()
        return self.layer(x) * self.table


@WAYS
def test_a_table_of_the_first_run_is_neither_traced_nor_kept(real):
    model = Positions().eval()
    assert names(trace(model, (torch.randn(1, 4, 8),), real=real)) == ["linear", "mul"]
    assert model.table is None


@WAYS
def test_buffers_inputs_lists_and_random_states_are_as_before(real):
    class Changes(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros(1, dtype=torch.int64))
            self.register_buffer("latest", torch.zeros(2, 3))
            self.seen = []

        def forward(self, x, ids):
            self.count += 1
            self.latest.copy_(x)
            self.seen.append(x)
            self.noise = torch.rand(2)
            return x.add_(1) + ids.mul_(2)

    model, x, ids = Changes(), torch.ones(2, 3), torch.ones(3, dtype=torch.int64)
    chance = torch.get_rng_state()
    trace(model, (x, ids), real=real)
    assert model.count.item() == 0
    assert model.latest.sum() == 0
    assert model.seen == []
    assert not hasattr(model, "noise")
    assert torch.equal(x, torch.ones(2, 3))
    assert torch.equal(ids, torch.ones(3, dtype=torch.int64))
    assert torch.equal(torch.get_rng_state(), chance)
    assert not any(isinstance(value, FakeTensor) for value in vars(model).values())


class Cache(nn.Module):
    def __init__(self):
        super().__init__()
        self.at, self.layer = 0, nn.Linear(4, 4)
        self.register_buffer("keys", torch.zeros(16, 4))

    def forward(self, x):
        self.keys[self.at] = self.layer(x)[0]
        self.at += 1
        return self.keys[: self.at].sum(0)


@WAYS
def test_a_cache_that_fills_is_told_with_what_changes(real):
    model = Cache()
    with pytest.raises(UnsteadyError, match=r"aten::.*\[2x4\].*\[3x4\].*attribute at .*reset") as caught:
        trace(model, (torch.randn(1, 4),), real=real)
    assert "\n" not in str(caught.value)
    assert model.at == 0


@WAYS
def test_a_cache_that_is_reset_is_traced(real):
    model = Cache()
    traced = trace(model, (torch.randn(1, 4),), real=real, reset=lambda: setattr(model, "at", 3))
    assert traced.calls[-1].call.tensors()[0].shape == (4, 4)
    assert model.at == 0


@WAYS
def test_layers_left_out_by_chance_are_told(real):
    class Skips(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(30)])

        def forward(self, x):
            for layer in self.layers:
                if random.random() < 0.5:
                    x = layer(x)
            return x

    with pytest.raises(UnsteadyError, match="draws random numbers"):
        trace(Skips(), (torch.randn(1, 4),), real=real)


@WAYS
def test_what_happens_every_third_time_is_told(real):
    class Thirds(nn.Module):
        def __init__(self):
            super().__init__()
            self.frame = 1

        def forward(self, x):
            self.frame += 1
            return x.relu() if self.frame % 3 else x.relu().sigmoid()

    with pytest.raises(UnsteadyError, match=r"aten::sigmoid.*attribute frame"):
        trace(Thirds(), (torch.randn(1, 4),), real=real)


@WAYS
def test_a_counter_that_decides_nothing_is_no_obstacle(real):
    class Counts(nn.Module):
        runs = 0

        def forward(self, x):
            self.runs += 1
            return x.relu()

    assert names(trace(Counts(), (torch.randn(1, 4),), real=real)) == ["relu"]


@WAYS
def test_masks_and_positions_decide_as_in_a_real_run(real):
    class Masked(nn.Module):
        def forward(self, x, mask):
            lengths = mask.sum(1)
            if bool(mask.all()):
                return x
            bias = (1.0 - mask.float()) * -1e9
            if int(lengths.max()) > 2:
                x = x[:, : int(lengths.max())].sigmoid()
            return x + bias[:, : x.shape[1]]

    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]])
    traced = trace(Masked(), (torch.randn(2, 4), mask), real=real)
    assert "sigmoid" in names(traced)
    assert traced.calls[-1].outputs[0].shape == (2, 3)


def test_a_known_tensor_that_gets_unknown_values_has_none():
    class Fills(nn.Module):
        def forward(self, x):
            room = torch.zeros(2, 4)
            room[:, :2] = x
            return room.sum().item()

    with pytest.raises(TraceError, match="without data"):
        trace(Fills(), (torch.randn(2, 2),), real=False)
    assert trace(Fills(), (torch.randn(2, 2),)).real


def test_a_model_that_asks_is_told_that_it_is_not_traced():
    class Asks(nn.Module):
        def forward(self, x):
            y = x * 2
            fake = isinstance(y, torch._subclasses.FakeTensor) or torch.compiler.is_compiling()
            return y.relu() if fake or torch.jit.is_tracing() else y.sigmoid()

    traced = trace(Asks(), (torch.randn(2),), real=False)
    assert names(traced) == ["mul", "sigmoid"]
    assert torch._subclasses.FakeTensor is FakeTensor


def test_a_model_that_notices_is_traced_by_a_real_run_and_told():
    class Notices(nn.Module):
        def forward(self, x):
            y = x * 2
            return y.relu() if isinstance(y, FakeTensor) else y.sigmoid()

    traced = trace(Notices(), (torch.randn(2),))
    assert names(traced) == ["mul", "sigmoid"]
    assert traced.real
    assert "aten::relu, then aten::sigmoid" in traced.note


def test_large_tensors_are_never_made_where_none_is_needed():
    class Wide(nn.Module):
        def forward(self, x):
            return torch.zeros(1 << 20, 1 << 20) + x, torch.arange(1 << 20)[:, None] + torch.arange(1 << 20)

    assert len(trace(Wide(), (torch.randn(1),), real=False).calls) >= 4


@WAYS
def test_noise_of_a_generator_marks_and_branches_of_cond(real):
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.generator = torch.Generator().manual_seed(1)

        def forward(self, x, flag):
            with torch.profiler.record_function("noise"):
                x = x + torch.randn(x.shape, generator=self.generator)
            return torch.cond(flag.any(), torch.relu, torch.sigmoid, (x,))

    model = Mixed()
    first = model.generator.get_state()
    assert names(trace(model, (torch.randn(2), torch.tensor([True])), real=real))[-1] == "relu"
    assert torch.equal(model.generator.get_state(), first)


def test_a_model_on_the_meta_device_is_traced_where_it_stands():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(64, 64), nn.GELU())
    traced = trace(model, (torch.randn(1, 64),))
    assert names(traced) == ["linear", "gelu"]
    assert {spec.device for call in traced.calls for spec in call.call.tensors()} == {"cpu"}


def test_lazy_modules_make_their_parameters_by_one_run():
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(5))
    assert names(trace(model, (torch.randn(1, 3, 8, 8),))) == ["conv2d", "flatten", "linear"]
    assert model(torch.randn(1, 3, 8, 8)).shape == (1, 5)


@WAYS
def test_what_yields_runs_to_its_end(real):
    class Yields(nn.Module):
        def forward(self, x):
            yield x.relu()
            yield x.sigmoid()

    assert names(trace(Yields(), (torch.randn(2),), real=real)) == ["relu", "sigmoid"]


class Fresh(OrderedDict):
    """Holds classes and makes an object of one whenever it is asked for, as a table of activations does."""

    def __getitem__(self, key):
        return super().__getitem__(key)(1)


def test_a_dictionary_that_makes_what_it_is_asked_for_is_as_before():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.activations = Fresh(leaky=nn.LeakyReLU)

        def forward(self, x):
            return self.activations["leaky"](x)

    model = Net()
    assert names(trace(model, (torch.randn(2),))) == ["leaky_relu"]
    assert dict.get(model.activations, "leaky") is nn.LeakyReLU


class Split(nn.Module):
    """Runs its layer in threads: of a pool, its own, or none."""

    def __init__(self, way):
        super().__init__()
        self.way, self.layer, self.pool = way, nn.Linear(4, 4), ThreadPoolExecutor(2)

    def forward(self, x):
        if self.way == "pool":
            return self.pool.submit(self.layer, x).result() + 1
        if self.way == "thread":
            results = []
            thread = threading.Thread(target=lambda: results.append(self.layer(x)), name="half")
            thread.start()
            thread.join()
            return results[0] + 1
        return torch.jit.wait(torch.jit.fork(self.layer, x)) + self.pool.submit(len, x).result()


@WAYS
def test_op_calls_in_other_threads_are_refused_by_name(real):
    for way in ("pool", "thread"):
        with pytest.raises(TraceError, match=r"calls aten::\w+ in thread .*one thread"):
            trace(Split(way), (torch.randn(1, 4),), real=real)
    assert threading.Thread.start.__module__ == "threading"


@WAYS
def test_forked_op_calls_and_threads_without_op_calls_are_traced(real):
    assert names(trace(Split("fork"), (torch.randn(1, 4),), real=real)) == ["linear", "add"]
