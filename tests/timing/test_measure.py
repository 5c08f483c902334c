"""Small real models, really timed: structure and ratios, never tight wall times."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from torch import nn

from opclock.board.identity import read_board
from opclock.errors import ModelError, OpCallError
from opclock.estimation.estimate import estimate
from opclock.models.loading import Model
from opclock.profiles.profile import Profile
from opclock.timing.cache_state import results
from opclock.timing.host_playback import PlayedHost
from opclock.timing.inputs import Arguments, new_tensor, new_weight
from opclock.timing.measure import measure
from opclock.timing.memory_budget import split
from opclock.timing.missing import condition_of, missing_in
from opclock.timing.reference import forward_of, reference
from opclock.timing.sampler import Sampling
from opclock.tracing.op_call import OpCall, TensorSpec
from opclock.tracing.recorder import trace
from opclock.tracing.trace import Storage, Trace, TracedCall
from opclock.validation.validate import validate, validate_model


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        y = torch.relu_(self.norm(self.conv(x)))
        y = torch.cat((y, y.sigmoid()), 1)[:, :8] * 0.5
        return self.head(y.mean((2, 3)))


@pytest.fixture
def small():
    return Small().eval(), (torch.randn(1, 3, 16, 16),)


@pytest.fixture
def profile(profile_path):
    with Profile.create_or_open(profile_path, read_board()) as opened:
        yield opened


def test_measure_then_estimate(small, profile):
    traced = trace(*small)
    done = measure(traced, profile, forward=forward_of(*small), threads=1, max_s=0.3)
    assert done.timed == len(traced.unique)
    assert done.rounds >= 5
    made = estimate(traced, profile, threads=1)
    assert made.complete
    assert made.coverage.measured == 1
    assert set(made.by_class()) >= {
        "convolution",
        "normalisation",
        "activation",
        "concat",
        "element-wise",
        "gemm",
        "host",
    }
    assert 0 < made.ci_low_s <= made.total_s <= made.ci_high_s
    again = measure(traced, profile, forward=forward_of(*small), threads=1)
    assert (again.timed, again.known, again.ended) == (0, len(traced.unique), "nothing_to_do")


def test_more_work_takes_longer(profile):
    times = []
    for width in (32, 256):
        model, inputs = nn.Linear(width, width), (torch.randn(256, width),)
        traced = trace(model, inputs)
        measure(traced, profile, forward=forward_of(model, inputs), threads=1, max_s=0.2)
        times.append(estimate(traced, profile, threads=1).mac_s)
    assert times[1] > 4 * times[0]  # 64 times the MACs


def test_every_answer_was_compared(small, profile, monkeypatch):
    monkeypatch.setattr(torch, "equal", lambda *_args: False)
    monkeypatch.setattr(torch, "allclose", lambda *_args, **_options: False)
    with pytest.raises(OpCallError, match="another answer"):
        measure(trace(*small), profile, threads=1, max_s=0.1)


class OnlyFake(nn.Module):
    """Its forward refuses real tensors: nothing may run it."""

    def __init__(self):
        super().__init__()
        # more calls than the stand-in makes in one play
        self.inner = nn.Sequential(*[nn.Sequential(nn.Linear(16, 16), nn.ReLU(inplace=True)) for _ in range(40)])

    def forward(self, x):
        if not isinstance(x, torch._subclasses.FakeTensor):
            raise RuntimeError("run on real data")
        return self.inner(x)


def test_a_model_that_cannot_be_run_is_estimated_all_the_same(profile):
    model, inputs = OnlyFake().eval(), (torch.randn(4, 16),)
    traced = trace(model, inputs)
    done = measure(traced, profile, forward=forward_of(model, inputs), threads=1, max_s=0.2)
    assert any("table by kind" in flag for flag in done.flags)
    made = estimate(traced, profile, threads=1)
    assert made.complete
    assert made.host_s > 0
    assert 0 < made.coverage.modelled < 1
    again = measure(traced, profile, forward=forward_of(model, inputs), threads=1)
    assert again.ended == "nothing_to_do"
    with pytest.raises(ModelError, match="run on real data"):
        reference(model, inputs)


def test_a_stored_trace_is_measured_without_its_model(small, profile):
    traced = trace(*small)
    measure(traced, profile, threads=1, max_s=0.2)
    assert estimate(traced, profile, threads=1).complete


def test_interrupted_pool_goes_on(small, profile):
    traced = trace(*small)
    condition = condition_of(traced, 1)
    calls = range(len(traced.calls))
    first = Sampling(traced, calls, Arguments(traced), profile, condition, None)
    first.warm_up()
    for _ in range(3):
        first.block(1)
    assert missing_in(traced, profile, condition) == set(traced.unique)  # not ended
    second = Sampling(traced, calls, Arguments(traced), profile, condition, None)
    second.warm_up()
    assert second.rounds == 3
    second.block(1)
    second.end()
    (number,) = profile.pools(["in_model"], "cpu", 1)
    assert len(profile.pool(number).control_s) == 4
    assert not missing_in(traced, profile, condition)


def test_pools_are_split_at_the_memory_bound():
    model = nn.Sequential(*[nn.Linear(64, 64) for _ in range(6)])
    traced = trace(model, (torch.randn(1, 64),))
    runs = split(traced, 3 * (64 * 64 + 64 + 64) * 4)
    assert [position for run in runs for position in run] == list(range(6))
    assert len(runs) == 2
    with pytest.raises(OpCallError, match="smaller input"):
        split(traced, 1000)


def test_split_pools_still_make_one_estimate(small, profile, monkeypatch):
    room = importlib.import_module("opclock.timing.measure")
    monkeypatch.setattr(room, "split", lambda trace, _limit: [range(3), range(3, len(trace.calls))])
    traced = trace(*small)
    measure(traced, profile, forward=forward_of(*small), threads=1, max_s=0.2)
    assert estimate(traced, profile, threads=1).complete


def test_equal_activations_share_a_buffer_and_weights_do_not():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU(), nn.ReLU())
    traced = trace(model, (torch.randn(2, 4),))
    arguments = Arguments(traced)
    bound = [arguments.bind(call) for call in traced.calls]
    assert bound[2].tensors[0].data_ptr() == bound[3].tensors[0].data_ptr()
    assert bound[0].tensors[1].data_ptr() != bound[1].tensors[1].data_ptr()


def test_two_equal_arguments_of_one_call_get_a_buffer_each():
    spec = TensorSpec((2, 4), (4, 1), "float32")
    call = TracedCall(OpCall("aten::add", "Tensor", (spec, spec)), (spec,), (0, 1), (2,))
    storages = (Storage("input", 32, 1), Storage("input", 32, 1), Storage("activation", 32, 1))
    left, right = Arguments(Trace("m", (spec,), 0, 0, storages, (call,))).bind(call).tensors
    assert left.data_ptr() != right.data_ptr()


def test_the_same_tensor_twice_is_one_buffer():
    class Square(nn.Module):
        def forward(self, x):
            return x * x

    traced = trace(Square(), (torch.randn(2, 4),))
    left, right = Arguments(traced).bind(traced.calls[0]).tensors
    assert left is right


def test_weights_have_the_scale_of_weights():
    matrix, vector = (new_weight(TensorSpec(shape, stride, "float32", requires_grad=True), 0)
                      for shape, stride in (((64, 32, 3, 3), (288, 9, 3, 1)), ((4000,), (1,))))  # fmt: skip
    assert matrix.requires_grad
    assert not matrix.is_inference()
    assert new_weight(TensorSpec((2, 1, 8), (0, 8, 1), "float32"), 0).shape == (2, 1, 8)  # an expanded token
    assert matrix.var().item() == pytest.approx(1 / (32 * 3 * 3), rel=0.1)
    assert vector.min() >= 0


def test_booleans_come_in_runs():
    flags = new_tensor(TensorSpec((1000,), (1,), "bool"), 0)
    assert flags.sum() == 500
    assert flags.diff().sum() == 1


def test_inputs_are_rewritten_when_the_model_writes_them():
    class Skips(nn.Module):
        def forward(self, x):
            kept = x.exp()  # 0: read by 2
            other = x.view(4, 2).tanh()  # 1 (view) and 2 (tanh)
            return kept + other.view(2, 4)  # 3 (view), 4: reads what 0 and 2 wrote

    traced = trace(Skips(), (torch.randn(2, 4),))
    arguments = Arguments(traced)
    bound = {position: arguments.bind(call) for position, call in enumerate(traced.calls)}
    found = results(traced, bound)
    names = [call.call.name for call in traced.calls]
    adds = bound[names.index("add")].tensors
    assert [tensor.data_ptr() for tensor in found[names.index("exp") + 1]] == [adds[0].data_ptr()]
    assert [tensor.data_ptr() for tensor in found[names.index("tanh") + 1]] == [adds[1].data_ptr()]
    assert len(found) == 2  # views write nothing, and nothing reads the sum


def test_explanation_of_a_validation(small, profile):
    row = validate_model(Model("small", *small), profile, threads=1, explain=True)
    found = row.explanation
    assert found.condition_s + found.host_s + found.left_s == pytest.approx(found.residual_s)
    assert found.residual_s == pytest.approx(row.estimate.total_s - row.reference.median_s)
    table = found.by_class()
    assert table["estimate_s"].sum() == pytest.approx(row.estimate.total_s)
    assert table["replay_s"].sum() == pytest.approx(found.replay_s)
    assert (table["observed_s"] > 0).all()
    known = validate_model(Model("small", *small), profile, threads=1, explain=True)
    assert known.explanation is None  # nothing was timed in the same turns


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16", "int64", "uint8", "bool", "complex64"])
def test_arguments_have_the_spec_and_values_in_range(dtype):
    spec = TensorSpec((3, 5), (1, 3), dtype)
    tensor = new_tensor(spec, 4)
    assert (tuple(tensor.shape), tuple(tensor.stride()), str(tensor.dtype)) == (
        spec.shape,
        spec.stride,
        f"torch.{dtype}",
    )
    if "int" in dtype:
        assert tensor.min() >= 0
        assert tensor.max() < 4


class Indexes(nn.Module):
    def forward(self, table, indices):
        return (nn.functional.embedding(indices, table), table[indices], table.index_select(0, indices[0]),
                torch.gather(table, 0, indices[:, :2]), nn.functional.one_hot(indices, 9))  # fmt: skip


def test_indices_stay_in_range(profile):
    inputs = (torch.randn(5, 4), torch.randint(0, 5, (3, 4)))
    traced = trace(Indexes(), inputs, real=True)
    assert measure(traced, profile, forward=forward_of(Indexes(), inputs), threads=1, max_s=0.1).timed > 4


def test_calls_that_overwrite_a_shared_buffer_answer_alike(profile):
    class Overwrites(nn.Module):
        def forward(self, x):
            y = x + 1
            y += x
            y *= x
            y -= x
            return torch.relu_(y)

    inputs = (torch.randn(4, 4),)
    assert measure(trace(Overwrites(), inputs), profile, threads=1, max_s=0.1).timed == 5


class Constant(nn.Module):
    def forward(self, x):
        return x + torch.tensor(2.0)


def test_what_no_trace_holds_is_host_work():
    inputs = (torch.ones(3),)
    traced = trace(Constant(), inputs)  # without the empty() inside torch.tensor(), which a real run dispatches too
    played = PlayedHost(traced, forward_of(Constant(), inputs))
    assert len(played.alone()) == len(traced.calls) + 1


def test_reference_has_a_repeat(small):
    found = reference(*small, blocks=4)
    assert found.samples.size == found.repeat.size >= 8
    low, high = found.interval_s
    assert low <= found.median_s <= high
    assert np.isfinite(found.repeat_error)


def test_validation_has_every_number(small, profile):
    models = [Model(name, Small().eval(), small[1]) for name in ("a", "b", "c")]
    data = validate(models, profile, threads=1).to_json()
    assert data["schema"] == "opclock.validation/1"
    assert list(data["rows"][0]) == [
        "model", "input", "dtype", "device", "threads", "params", "macs", "macs_thop", "op_calls", "unique_op_calls",
        "reference", "estimate", "error", "baselines", "measure_s", "flags",
    ]  # fmt: skip
    for row in data["rows"]:
        assert row["error"] == pytest.approx(row["estimate"]["total_s"] / row["reference"]["median_s"] - 1)
        assert list(row["baselines"]) == ["back_to_back", "mac_kernels_only", "roofline", "mac_regression"]
        assert row["baselines"]["back_to_back"]["total_s"] < 2 * row["estimate"]["total_s"]
        assert row["baselines"]["roofline"]["total_s"] < row["estimate"]["total_s"]
        assert 0.1 < 1 + row["error"] < 10  # no tight time: a busy machine must not fail this
    assert set(data["summary"]) == {
        "mape", "within_5pct", "within_10pct", "max_abs_error", "baselines", "repeat_mape", "spearman_macs",
        "kendall_macs",
    }  # fmt: skip
    assert data["rows"][1]["measure_s"] == 0  # the second of three equal models is in the profile already
