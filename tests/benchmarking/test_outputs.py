"""What is read from runtimes and vendors' commands."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from opclock.benchmarking.bench import Bench
from opclock.benchmarking.result import BenchRow
from opclock.benchmarking.vendor_tools import COMMANDS, CrossCheck, VendorCommand, read_median_s, run_command
from opclock.errors import ModelError
from opclock.runtimes.inductor import read_events
from opclock.runtimes.job import Job
from opclock.runtimes.onnxruntime import read_runs
from opclock.runtimes.registry import names
from opclock.runtimes.runtime import OperatorTime, Settings


def node(name, kind, begin, took):
    return {"cat": "Node", "name": name, "ts": begin, "dur": took, "args": {"op_name": kind}}


def test_onnxruntime_trace_is_split_by_inference():
    events = [
        {"cat": "Session", "name": "model_run", "ts": 0, "dur": 50},
        node("conv_kernel_time", "Conv", 5, 40),
        {"cat": "Session", "name": "model_run", "ts": 100, "dur": 60},
        node("conv_kernel_time", "Conv", 105, 30),
        node("cat_kernel_time", "Concat", 140, 10),
        node("cat_fence_before", "Concat", 139, 1),
    ]
    first, operators = read_runs(events)
    assert [one.seconds for one in first] == pytest.approx([40e-6])
    assert [(one.name, one.kind, one.is_mac) for one in operators] == [("conv", "Conv", True), ("cat", "Concat", False)]
    assert [one.seconds for one in operators] == pytest.approx([30e-6, 10e-6])
    assert read_runs([]) == []


@dataclass
class Event:
    name: str
    cpu_time_total: float  # microseconds
    cpu_children: list[Event] = field(default_factory=list)
    cpu_parent: object = None


def test_inductor_events_leave_what_no_library_call_covers():
    inner = Event("aten::mkldnn_convolution", 20)
    call = Event("mkldnn::_convolution_pointwise", 30, [inner])
    linear = Event("aten::addmm", 5)
    region = Event("Torch-Compiled Region: 0/0", 50, [Event("## Call CompiledFxGraph", 45, [call, linear])])
    operators = read_events([region, Event("aten::empty", 7), Event("aten::addmm", 5, cpu_parent=region)])
    assert [(one.kind, one.is_mac) for one in operators] == [
        ("mkldnn::_convolution_pointwise", True),
        ("aten::addmm", True),
        ("fused", False),
    ]
    assert [one.seconds for one in operators] == pytest.approx([30e-6, 5e-6, 15e-6])


PRINTED = {
    "benchmark_app": "[ INFO ] Latency:\n[ INFO ]    Median:        3.31 ms\n[ INFO ]    Average:       3.40 ms\n",
    "litert-benchmark": "Inference (avg):       2.71 ms (50 runs)\nInference (median):    2.60 ms\n",
    "trtexec": "[I] Latency: min = 0.5 ms, median = 0.6 ms\n"
    "[I] GPU Compute Time: min = 0.34 ms, max = 0.51 ms, mean = 0.36 ms, median = 0.35 ms, percentile(99%) = 0.5 ms\n",
}


@pytest.mark.parametrize(
    ("name", "seconds"), [("benchmark_app", 3.31e-3), ("litert-benchmark", 2.6e-3), ("trtexec", 0.35e-3)]
)
def test_vendors_output(name, seconds):
    command = next(command for command in COMMANDS if command.name == name)
    assert read_median_s(command, PRINTED[name]) == pytest.approx(seconds)
    with pytest.raises(ModelError, match=f"{name} printed no median latency; its last line: Killed"):
        read_median_s(command, "loading\nKilled")


def test_vendors_say_microseconds_where_there_are_few():
    assert read_median_s(COMMANDS[0], "[ INFO ]    Median:        69.20 us\n") == pytest.approx(69.2e-6)


def test_a_vendors_command_that_fails_after_it_printed_a_latency_is_no_result(tmp_path, monkeypatch):
    command = replace(COMMANDS[0], arguments=lambda *_: ())
    script = tmp_path / command.name
    script.write_text("#!/bin/sh\necho 'Median: 3.31 ms'\necho 'device lost' >&2\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setattr(VendorCommand, "path", lambda self: str(script))
    with pytest.raises(ModelError, match="benchmark_app ended with 3; its last line: device lost"):
        run_command(command, Job(tmp_path, "m"), Settings(1), 1.0)


def test_a_median_of_0_is_neither_a_speedup_nor_in_json():
    row = BenchRow("r", 1, samples=np.zeros(3))
    assert row.to_json()["throughput_per_s"] is None
    assert math.isnan(Bench("m", Settings(1), {}, (row, row)).speedup(row))


def test_deviation_is_of_the_medians_over_blocks():
    check = CrossCheck("c", "r", (1.0, 1.1, 1.2), (1.0, 1.0, 2.0))
    assert check.deviation == pytest.approx(0.1)
    assert check.spread == pytest.approx((0.1 / 1.1, 0.5))


def test_statistics_of_a_row_by_hand():
    row = BenchRow("r", 4, samples=np.array([0.4, 0.1, 0.2, 0.3]))
    statistics = row.statistics([50])
    assert statistics["min_s"] == 0.1
    assert statistics["median_s"] == statistics["p50_s"] == pytest.approx(0.25)
    assert statistics["mean_s"] == pytest.approx(0.25)
    assert statistics["max_s"] == 0.4
    assert statistics["throughput_per_s"] == pytest.approx(16)


def test_rows_come_back_from_json():
    row = BenchRow("r", 2, versions={"a": "1"}, load_s=0.5, samples=np.array([1.0, 2.0]), peak_bytes=7,
                   operators=(OperatorTime("n", "Conv", 0.1, is_mac=True),), flags=("drifting",))  # fmt: skip
    back = BenchRow.from_json(row.to_json())
    assert back.to_json() == row.to_json()
    failed = BenchRow("r", 1, "failed", "why")
    assert BenchRow.from_json(failed.to_json()).to_json() == failed.to_json()
    assert failed.to_json()["median_s"] is None


def test_built_in_runtimes_come_first_and_are_all_registered():
    assert names()[:8] == ["eager", "compile", "onnxruntime", "openvino", "litert", "ncnn", "executorch", "tensorrt"]
