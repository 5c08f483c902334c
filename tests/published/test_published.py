"""What others published: readers on small files written by hand, and methods on devices whose truth is known."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.published import __main__ as command
from benchmarks.published import mobile, neusight, tflite_log
from benchmarks.published.methods import estimate, host_constant
from benchmarks.published.models import (
    Device,
    PublishedDataError,
    PublishedModel,
    TimedCall,
    by_family,
    convolution,
    linear,
    op_call,
    tensor,
)
from benchmarks.published.nn_meter import KernelForests, kind_of
from opclock.tracing.macs import macs
from opclock.tracing.op_call import OpCall, TensorSpec

CONVOLUTION = {"Input_shape": "56", "Input_channel": 8, "Output_shape": "28", "Stride": "2", "Kernel": "3",
               "Filter": "16", "Group": "1", "FLOPS": "-"}  # fmt: skip
DEPTHWISE = CONVOLUTION | {"Filter": "1", "Stride": "1", "Output_shape": "56"}
DENSE = {"Input_channel": 16, "Filter": "10"}
OPS = [
    ("net1", "CONV_2D", CONVOLUTION, "100", "winograd"), ("net1", "FULLY_CONNECTED", DENSE, "20", "dense"),
    ("net2", "DEPTHWISE_CONV_2D", DEPTHWISE, "50", "depthwise"), ("net2", "FULLY_CONNECTED", DENSE, "", ""),
    ("net3", "CONV_2D", CONVOLUTION, "", "not timed"),
]  # fmt: skip
HEADING = "\t [node type]\t [first]\t [avg ms]\t [%]\t [cdf%]\t [mem KB]\t[times called]\t[Name]"
LINE = "\t CONV_2D\t 0.793\t 1.500\t 62.500%\t 62.500%\t 0.000\t 1\t[a/Relu6]:0"
OLD_LINE = "\t CONV_2D\t 0.000\t 0.793\t 1.500\t 62.500%\t 62.500%\t 0.000\t 1\t[a]:0"  # with the time since the start
LOG = f"""Inference timings in us: Init: 255, First inference: 18475, Warmup (avg): 15432.4, Inference (avg): 2500
Profiling Info for Benchmark Initialization:
============================== Run Order ==============================
{HEADING}
\t AllocateTensors\t 0.024\t 9.000\t100.000%\t100.000%\t 0.000\t 1\tAllocateTensors/0
Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
{HEADING}
{LINE}
\t Fully Connected (NC, F32)\t 0.600\t 0.900\t 37.500%\t100.000%\t 0.000\t 1\t[b]:1
============================== Top by Computation Time ==============================
{LINE}
"""
NODES = "op,target,meta,input_shapes,input_contiguous,fw_latency,output_shape,dtype\n"
STACK = "{'nn_module_stack': OrderedDict([('net.h.0', <class 'a.Block'>), ('%s', <class 'torch.nn.%s'>)])}"


def tables(folder, ops=OPS):
    """The two tables of a phone."""
    lines = [",".join((name, operation, f'"{feature}"', seconds, kernel))
             for name, operation, feature, seconds, kernel in ops]  # fmt: skip
    path = folder / "tflite_ops_gpu.csv"
    path.write_text("\n".join(["model,operation,feature,phone|gpu|float,phone|gpu|kernel", *lines]))
    (folder / "tflite_e2e.csv").write_text(
        "model,FLOPS,size,phone|gpu|float|mean,phone|gpu|float|std\n"
        "net1,2000,1,150.0,1.0\nnet2,1000,1,60.0,1.0\nnet3,1000,1,60.0,1.0\n"
    )
    return path


def node(op, target, module, shapes, milliseconds, output, *, contiguous=True):
    meta = STACK % module if module else "{}"
    return f'{op},{target},"{meta}","{shapes}","{[contiguous] * len(shapes)}",{milliseconds},"{output}",torch.float32\n'


def test_a_phones_tables(tmp_path):
    (device,) = mobile.read(tables(tmp_path))
    assert device.name == "tflite phone gpu"
    first, second = device.models  # net3 has a kernel without a time
    assert (first.name, first.sum_s, first.whole_s, first.macs) == ("net1", pytest.approx(120e-6), 150e-6, 1000)
    strided, dense = (call.traced for call in first.calls)
    assert macs(strided) == 28 * 28 * 16 * 8 * 9
    assert macs(dense) == 160
    assert len(second.calls) == 1  # a call without a kernel is part of another one's
    assert macs(second.calls[0].traced) == 56 * 56 * 8 * 9


def test_what_is_no_such_table_is_one_line(tmp_path):
    path = tables(tmp_path, [("net1", "WARP", {}, "1", "warp")])
    with pytest.raises(PublishedDataError, match="operation 'WARP' is not known"):
        mobile.read(path)
    path = tables(tmp_path, [("net1", "CONV_2D", {"Filter": "many"}, "1", "conv")])
    with pytest.raises(PublishedDataError, match="CONV_2D has the feature"):
        mobile.read(path)
    (tmp_path / "tflite_e2e.csv").unlink()
    with pytest.raises(PublishedDataError, match=r"with X_e2e\.csv beside it"):
        mobile.read(tables(tmp_path).rename(tmp_path / "other_ops_gpu.csv"))


def test_gpus_count_a_block_as_often_as_it_is_there(tmp_path):
    folder = tmp_path / "GPU_9"
    folder.mkdir()
    (folder / "bert-inf-4-1.csv").write_text("".join([
        NODES,
        node("call_module", "net.h.0.query", ("net.h.0.query", "Linear"), [[1, 4, 8]], 2.0, (1, 4, 16)),
        node("call_method", "view", ("net.h.0", "Block"), [[1, 4, 16]], 0.01, (1, 4, 4, 4)),
        node("call_method", "contiguous", ("net.h.0", "Block"), [[1, 4, 16]], 0.5, (1, 4, 16), contiguous=False),
        node("call_function", "<built-in function add>", ("net.h.0", "Block"), [[1]], 0.01, (1,)),
        node("call_function", "<built-in method bmm of type object at 0x1>", None, [[2, 4, 8], [2, 8, 4]], 1.0,
             (2, 4, 4)),
    ]))  # fmt: skip
    (folder / "bert-inf-4-1.json").write_text(json.dumps({"num_layer": 3, "fw_latency": 9.0}))
    (folder / "alone.csv").write_text(NODES)
    (device,) = neusight.read(folder)
    (model,) = device.models
    assert device.name == "GPU 9"
    assert [(call.traced.call.name, call.times) for call in model.calls] == [("linear", 3), ("clone", 3), ("bmm", 1)]
    assert model.sum_s == pytest.approx(8.5e-3)
    assert model.whole_s == pytest.approx(9e-3)
    assert model.macs == 3 * 4 * 8 * 16 + 2 * 4 * 8 * 4


def test_a_folder_without_tables_is_one_line(tmp_path):
    with pytest.raises(PublishedDataError, match=r"no MODEL\.csv with MODEL\.json"):
        neusight.read(tmp_path)


@pytest.mark.parametrize("line", [LINE, OLD_LINE])
def test_a_log_of_benchmark_model(tmp_path, line):
    path = tmp_path / "net.log"
    path.write_text(LOG.replace(LINE, line))
    (device,) = tflite_log.read(path)
    (model,) = device.models
    assert (model.name, model.whole_s) == ("net", 2.5e-3)
    assert [call.traced.call.name for call in model.calls] == ["CONV_2D", "Fully Connected (NC, F32)"]
    assert model.sum_s == pytest.approx(2.4e-3)
    path.write_text(LOG.partition("Operator-wise")[0])
    with pytest.raises(PublishedDataError, match="enable_op_profiling"):
        tflite_log.read(path)


def model(name, *widths, added=0.0):
    """A network of two kinds of kernels at a known rate; the whole model takes longer by what is added."""
    calls = []
    for width in widths:
        for traced in (convolution(width, 16, width, 16, kernel=3, stride=1, groups=1), linear(width, width),
                       op_call("relu", (tensor(1, width, 16, 16),), tensor(1, width, 16, 16))):  # fmt: skip
            calls.append(TimedCall(traced, 1e-6 + macs(traced) * 1e-10))
    return PublishedModel(name, tuple(calls), sum(call.seconds for call in calls) + added)


def test_the_constant_that_a_device_adds():
    models = [model("a", 8, added=5e-3), model("b", 16, added=5e-3), model("c", 300, added=9.0)]
    assert host_constant(models) == pytest.approx(5e-3)  # one slow model does not move it
    assert host_constant([]) == 0.0


def test_families_are_left_out_whole():
    models = [model(name, 8) for name in ("net_a", "net_b", "res1", "vgg16", "vgg19")]
    folds = list(by_family(models, 2))
    assert sorted(one.name for _, unknown in folds for one in unknown) == sorted(one.name for one in models)
    assert all({one.family for one in known}.isdisjoint({one.family for one in unknown}) for known, unknown in folds)


@pytest.fixture(scope="module")
def results():
    """Estimates of a device that adds 4 ms to each model."""
    widths = range(8, 104, 2)
    models = [model(f"{'ab'[i % 2]}net{i}", *widths[i::4], added=4e-3) for i in range(4)]
    return estimate(Device("phone", tuple(models)))


def test_a_sum_misses_what_the_device_adds(results):
    assert (command.errors(results, "sum") < -0.1).all()
    assert np.abs(command.errors(results, "sum + host")).max() < 1e-6


def test_kernels_of_other_families_predict_those_left_out(results):
    ours = results.calls_by_method["predicted"] / results.calls_s - 1
    assert np.abs(ours).mean() < 0.25
    assert np.abs(command.errors(results, "predicted + host")).mean() < 0.1
    assert command.errors(results, "nn-Meter's way").mean() < -0.1  # it adds no host


def test_forests_by_kind_of_kernel():
    depthwise = convolution(8, 16, 8, 16, kernel=3, stride=1, groups=8)
    assert kind_of(depthwise.call) == "conv2d depthwise"
    known = [linear(width, 64) for width in range(1, 40)]
    forests = KernelForests([*known, depthwise], [1e-6 * width for width in range(1, 41)])
    answers = forests.predict([linear(20, 64), depthwise])
    assert answers[0] == pytest.approx(20e-6, rel=0.2)
    assert answers[1] == 0.0  # one sample is too few for a forest


def test_a_forest_takes_calls_with_infinite_numbers():
    """As those that mask scores of attention."""
    masked = [
        replace(
            linear(width, 8),
            call=OpCall("aten::masked_fill", "Scalar", (TensorSpec((width,), (1,), "float32"), -math.inf)),
        )
        for width in range(1, 41)
    ]
    forests = KernelForests(masked, [1e-6 * width for width in range(1, 41)])
    assert forests.predict([masked[19]])[0] == pytest.approx(20e-6, rel=0.2)


def test_the_command_prints_a_row_for_each_device(tmp_path, monkeypatch, capsys):
    (tmp_path / "board").mkdir()
    log = tmp_path / "board" / "net.log"
    log.write_text(LOG)
    monkeypatch.setattr("sys.argv", ["published", str(tables(tmp_path)), str(log)])
    assert command.main() == 0
    printed = capsys.readouterr().out
    assert "tflite phone gpu" in printed
    assert "tflite board" in printed
    monkeypatch.setattr("sys.argv", ["published", str(tmp_path / "nothing.xlsx")])
    assert command.main() == 2
    assert "no such file" in capsys.readouterr().err
