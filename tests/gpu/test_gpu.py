"""What only a GPU can show. Skipped where there is none; `make test-gpu` runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from opclock.board.accelerator import free_bytes, read_device
from opclock.errors import ModelError
from opclock.estimation.estimate import estimate
from opclock.extension import load_aten
from opclock.generation.language_model import language_model
from opclock.models.loading import Model, load_model
from opclock.sweeps.run import sweep
from opclock.timing.graph_reference import GraphRun
from opclock.timing.measure import measure
from opclock.timing.missing import LANE_TIMINGS
from opclock.timing.reference import forward_of
from opclock.tracing.recorder import trace
from opclock.validation.validate import validate

pytestmark = pytest.mark.gpu
DEVICE = "cuda:0"
SMALL_LANGUAGE_MODEL = f"{Path(__file__).resolve().parents[1] / 'small_language_model.py'}:make"


def test_the_device_is_described():
    found = read_device(DEVICE)
    assert found["name"]
    assert 0 < found["allocated_bytes"] + 1 <= found["reserved_bytes"] + 1
    assert free_bytes(DEVICE) > 0


def test_a_kernel_is_handed_over_long_before_it_is_done():
    large = torch.randn(4096, 4096, device=DEVICE)
    found = {}
    for lane in ("host", "device", "both"):
        pool = load_aten().Pool(0, False, DEVICE, lane)
        pool.add("aten::mm", "", (large, large), {}, 0, [], [])
        pool.warm_up(0.5)
        seconds = np.empty((9, 1))
        for row in seconds:
            pool.begin_round()
            pool.end_round(row)
        found[lane] = float(np.median(seconds))
    assert found["host"] < found["device"] / 5
    assert found["device"] < found["both"] < 1.5 * found["device"]


def test_a_call_that_fetches_a_number_waits_and_a_view_takes_nothing():
    values = torch.randn(1000, device=DEVICE)
    pool = load_aten().Pool(0, False, DEVICE, "device")
    pool.add("aten::relu", "", (values,), {}, 0, [], [])
    pool.add("aten::sum", "", (values,), {}, 1, [], [])
    pool.add("aten::_local_scalar_dense", "", (values[0],), {}, 2, [], [])
    pool.add("aten::view", "", (values, [10, 100]), {}, 3, [], [], False)
    pool.warm_up(0.2)
    assert pool.waits == [False, False, True, False]
    seconds = np.empty(4)
    pool.begin_round()
    pool.end_round(seconds)
    assert (seconds[:3] > 0).all()
    assert seconds[3] == 0
    assert 0 < pool.device_resolution_s < 1e-5


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_from_trace_to_validation(profile, dtype):
    model = load_model("zoo:shufflenetv2", input_text="4x3x96x96", dtype=dtype, device=DEVICE)
    row = validate([model], profile, threads=1).rows[0]
    assert 0.6 < row.estimate.total_s / row.reference.median_s < 1.6
    assert row.graph is not None
    assert row.graph_error == pytest.approx(0, abs=0.1)
    assert row.graph.median_s < row.reference.median_s
    lanes = row.estimate.lanes
    assert lanes is not None
    assert lanes.replay_s <= lanes.busy_s * 1.02
    assert {condition.timing for condition in profile.conditions()} >= {*LANE_TIMINGS, "recorded", "back_to_back"}


class Chooses(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        image = torch.relu(image)
        return image[image > 0.5].sum() + image.max()


def test_a_model_that_waits_for_its_device_is_estimated_without_a_graph(profile):
    model = Model("chooses", Chooses().eval(), (torch.randn(8, 3, 64, 64, device=DEVICE),))
    traced = trace(model.module, model.inputs, name=model.name, real=True)
    measure(traced, profile, forward=forward_of(model.module, model.inputs), threads=1, max_s=0.5)
    lanes = estimate(traced, profile, threads=1).lanes
    assert lanes is not None
    assert lanes.replay_s == pytest.approx(lanes.busy_s)
    with pytest.raises(ModelError, match="cannot be recorded"):
        GraphRun(forward_of(model.module, model.inputs), DEVICE)
    torch.randn(8, device=DEVICE)  # what a failed capture would break
    torch.cuda.empty_cache()
    assert torch.cuda.current_stream() == torch.cuda.default_stream()


def test_copies_between_host_and_device():
    table = sweep("copy", rows=[1024], columns=4096, kind=["to_device", "from_device", "clone"], pinned=[False, True],
                  device=DEVICE, threads=1)  # fmt: skip
    table = table.set_index(["kind", "pinned"])["gb_per_s"]
    assert table["to_device", True] > table["to_device", False] / 1.5
    assert table["clone", False] > 4 * table["to_device", True]


def test_a_language_models_tokens_beside_real_generation(profile):
    result = language_model(
        SMALL_LANGUAGE_MODEL, profile, prompt=16, generate=24, threads=1, device=DEVICE, validate=True, processes=1,
        max_s=1.0,
    )  # fmt: skip
    frame = result.to_frame()
    assert list(frame["depth"]) == [16, 27, 32, 38]
    assert (frame["error"].abs() < 0.5).all()
    assert abs(result.errors["ttft"]) < 0.6
    assert sum(result.by_class.values()) == pytest.approx(result.total_s)
    assert all(one.estimate.lanes is not None for one in result.measured)
    assert frame["cache_bytes"].is_monotonic_increasing
