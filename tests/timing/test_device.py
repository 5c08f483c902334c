"""A device's whole path without a device: the CPU stands for one that does everything at once."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from opclock.board import accelerator
from opclock.board.accelerator import checked_device, free_bytes, read_device
from opclock.errors import ModelError, OptionError
from opclock.estimation.estimate import estimate
from opclock.extension import load_aten
from opclock.models.loading import Model
from opclock.sweeps.binding import plan_all
from opclock.sweeps.configuration import grid
from opclock.sweeps.run import sweep
from opclock.timing.graph_reference import GraphRun
from opclock.timing.measure import measure
from opclock.timing.missing import LANE_TIMINGS
from opclock.timing.reference import forward_of
from opclock.tracing.macs import moved_bytes
from opclock.tracing.op_call import HOST, placed
from opclock.tracing.recorder import trace
from opclock.validation.validate import validate


class Small(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3)
        self.norm = torch.nn.BatchNorm2d(8)
        self.head = torch.nn.Linear(8, 4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        image = torch.relu_(self.norm(self.conv(image)))
        return self.head(torch.cat([image, -image], 1).mean((2, 3))[:, :8])


@pytest.fixture
def model() -> Model:
    return Model("small", Small().eval(), (torch.randn(2, 3, 32, 32),))


@pytest.fixture
def device() -> Iterator[None]:
    with accelerator.simulated():
        yield


@pytest.mark.usefixtures("device")
def test_three_numbers_of_every_op_call_and_an_estimate_of_both_lanes(model, profile):
    traced = trace(model.module, model.inputs, name=model.name)
    done = measure(traced, profile, forward=forward_of(model.module, model.inputs), threads=2, max_s=0.5)
    assert done.timed == len(traced.unique)
    timings = {condition.timing for condition in profile.conditions()}
    assert timings == set(LANE_TIMINGS)
    made = estimate(traced, profile, threads=2)
    assert made.complete
    assert made.lanes is not None
    launching = np.array([call.launches for call in traced.calls])
    assert (made.lanes.device_s[launching] > 0).all()
    assert (made.lanes.device_s[~launching] == 0).all()
    assert made.lanes.busy_s < made.total_s
    assert sum(made.by_class().values()) == pytest.approx(made.total_s)
    assert made.to_json()["lanes"]["replay_s"] == made.lanes.replay_s
    again = measure(traced, profile, forward=forward_of(model.module, model.inputs), threads=2)
    assert again.ended == "nothing_to_do"


@pytest.mark.usefixtures("device", "short_sampling")
def test_a_validation_and_its_row(model, profile):
    row = validate([model], profile, threads=2).rows[0]
    assert row.estimate.total_s > 0
    assert row.graph is None
    assert "no_graph" in row.flags
    assert row.baselines_s["back_to_back"] is not None
    assert row.baselines_s["roofline"] is None
    assert row.to_json()["estimate"]["lanes"]["launch_bound_share"] >= 0


def lanes_with(recording, model, profile, monkeypatch):
    """An estimate's lanes on a device whose graphs are captured by this stand-in."""
    monkeypatch.setattr(importlib.import_module("opclock.timing.lane_samplers"), "can_capture", lambda _: True)
    monkeypatch.setattr("opclock.timing.graph_rounds.CudaGraph", recording)
    traced = trace(model.module, model.inputs, name=model.name)
    measure(traced, profile, forward=forward_of(model.module, model.inputs), threads=2, max_s=0.2)
    lanes = estimate(traced, profile, threads=2).lanes
    assert lanes is not None
    return lanes


@pytest.mark.usefixtures("device")
def test_a_model_that_cannot_be_recorded_is_estimated_all_the_same(model, profile, monkeypatch):
    def refused(*_: object) -> None:
        raise ModelError("cannot be captured in a graph: it waits")

    lanes = lanes_with(refused, model, profile, monkeypatch)
    assert lanes.replay_s == pytest.approx(lanes.busy_s)


@pytest.mark.usefixtures("device")
def test_a_recorded_graph_is_shared_among_its_calls(model, profile, monkeypatch):
    class Fixed:
        def __init__(self, run, _device):
            run()

        def replay_s(self, _replays):
            return 1e-4

    lanes = lanes_with(Fixed, model, profile, monkeypatch)
    assert lanes.replay_s == pytest.approx(1e-4)


@pytest.mark.usefixtures("device")
def test_a_sweep_takes_the_device_s_own_time():
    table = sweep("copy", rows=[64, 256], columns=256, kind=["clone", "transpose"], threads=2)
    assert len(table) == 4
    assert (table["median_s"] > 0).all()
    assert table["ceiling_share"].isna().all()


def test_copies_between_host_and_device_are_placed_on_both(monkeypatch):
    monkeypatch.setattr("opclock.sweeps.binding.memory_budget_bytes", lambda _device: 1 << 30)
    found, _ = grid("copy", {"rows": 8, "columns": 8, "kind": ["to_device", "from_device"], "pinned": [False, True]})
    planned, refused = plan_all(found, "cuda:0")
    assert not refused
    assert len(planned) == 4
    devices = {(one.call.args[0].device, one.call.args[1].device) for one in planned}
    assert devices == {("cuda:0", "cpu"), ("cpu", "cuda:0")}
    assert {spec.pinned for one in planned for spec in one.call.tensors() if spec.device == "cpu"} == {False, True}
    assert all(dict(one.configuration.parameters)["device"] == "cuda:0" for one in planned)
    assert all(not spec.pinned for one in planned for spec in one.call.tensors() if spec.device != "cpu")
    assert {moved_bytes(one.traced) for one in planned} == {8 * 8 * 4}  # over the link
    nothing, reasons = plan_all(found)
    assert not nothing
    assert "needs a device" in next(iter(reasons))
    assert placed(found[0].call.args[1], "cuda:0").device == "cpu"
    assert found[0].call.args[1].device == HOST


def test_what_one_call_returns_is_fed_to_another_while_it_is_held():
    aten = load_aten()
    source, stand_in, taken = torch.arange(4.0), torch.full((4,), 9.0), torch.zeros(4)
    pool = aten.Pool(0, False, "simulated", "device")
    pool.add("aten::add", "Tensor", (source, 1), {}, 0, [], [])
    pool.add("aten::copy_", "", (taken, stand_in), {}, 1, [], [])
    pool.feed(1, 1, 0, 0)
    pool.hold_outputs(0, 0)
    pool.warm_up(0.0)
    pool.begin_round()
    pool.end_round(np.empty(2))
    assert taken.tolist() == [1, 2, 3, 4]
    assert stand_in.tolist() == [9] * 4


def test_a_fed_tensor_of_another_shape_is_left():
    aten = load_aten()
    taken, stand_in = torch.zeros(4), torch.full((4,), 9.0)
    pool = aten.Pool(0, False, "simulated", "device")
    pool.add("aten::add", "Tensor", (torch.arange(3.0), 1), {}, 0, [], [])
    pool.add("aten::copy_", "", (taken, stand_in), {}, 1, [], [])
    pool.feed(1, 1, 0, 0)
    pool.hold_outputs(0, 0)
    pool.warm_up(0.0)
    assert taken.tolist() == [9] * 4


def test_pools_of_a_cpu_have_one_lane():
    with pytest.raises(ValueError, match="one lane"):
        load_aten().Pool(0, False, "cpu", "device")
    with pytest.raises(ValueError, match="no lane 'upper'"):
        load_aten().Pool(0, False, "simulated", "upper")


@pytest.mark.parametrize("device", ["cuda:1", "xpu:3"])
def test_waiting_for_a_second_device_names_it(device, monkeypatch):
    waited: list[object] = []
    backend = SimpleNamespace(synchronize=waited.append)
    monkeypatch.setattr(torch, "get_device_module", lambda _device: backend)
    accelerator.wait_for(device)
    assert waited == [torch.device(device)]


@pytest.mark.parametrize("text", ["meta", "tpu", "cuda:99", "xla"])
def test_a_device_that_cannot_be_used_is_refused_with_the_next_step(text):
    with pytest.raises(OptionError, match=f"device='{text}'"):
        checked_device(text)


def test_a_second_cpu_is_refused():
    with pytest.raises(OptionError, match="there is one CPU"):
        checked_device("cpu:3")


def test_a_cpu_is_no_device_beside_the_host():
    assert checked_device("cpu") == checked_device("cpu:0") == "cpu"
    assert not accelerator.has_lanes("cpu")
    assert accelerator.has_lanes("cuda:0")
    assert read_device("cpu") == {}
    assert free_bytes("cpu") > 0
    with accelerator.simulated():
        assert accelerator.has_lanes("cpu")
    with pytest.raises(ModelError, match="only CUDA"):
        GraphRun(lambda: None, "cpu")
