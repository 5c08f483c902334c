"""What runtimes tell of their operators: read from their own formats, shown, and written as perf.yaml."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pytest
from click.testing import CliRunner

from opclock.benchmarking.bench import Bench
from opclock.benchmarking.result import BenchRow
from opclock.cli.main import commands
from opclock.errors import ReportError
from opclock.report import perf_yaml
from opclock.report.operators_table import fallback_sentence, operator_frame, table, untold_sentence
from opclock.runtimes import executorch, litert_profiler, ncnn, openvino, xnnpack
from opclock.runtimes.runtime import OperatorTime, Settings, typical

CONV = "Convolution (NHWC, F32) IGEMM"
OPERATORS = (
    OperatorTime(CONV, "Convolution", 3e-3, True, True),
    OperatorTime(CONV, "Convolution", 2e-3, True, True),
    OperatorTime("Add (ND, F32)", "Add", 1e-3, False, True),
    OperatorTime("head/gelu", "GELU", 2e-3, False, False),
)
DELEGATING = BenchRow("litert", 1, versions={"ai-edge-litert": "2.1"}, samples=np.full(20, 10e-3), peak_bytes=2**28,
                      operators=OPERATORS)  # fmt: skip
EAGER = BenchRow("eager", 1, versions={"torch": "2.13"}, samples=np.full(20, 20e-3), peak_bytes=2**29)
FAILED = BenchRow("ncnn", 1, "failed", "convert: no")
BENCH = Bench("zoo:net", Settings(2), {"identity": "a board: 2 cores"}, (EAGER, DELEGATING, FAILED))


def times(*milliseconds):
    return [OperatorTime(f"n{place}", "Conv", ms / 1e3, True) for place, ms in enumerate(milliseconds)]


def test_an_interrupted_run_does_not_change_an_operators_time():
    runs = [times(1, 2), times(1, 90), times(3, 4), times(7, 7, 7), times(2, 3)]
    assert [one.seconds for one in typical(runs)] == pytest.approx([1.5e-3, 3.5e-3])
    assert typical([]) == []


def test_xnnpacks_names_say_which_operators_macs_count():
    names = [CONV, "Fully Connected (NC, QD8, F32, QC4W) GEMM", "Max Pooling (NHWC, F32)", "Copy"]
    read = [xnnpack.operator_time(name, 1.0) for name in names]
    assert [one.kind for one in read] == ["Convolution", "Fully Connected", "Max Pooling", "Copy"]
    assert [one.is_mac for one in read] == [True, True, False, False]
    assert all(one.delegated for one in read)


@dataclass
class ProfileEvent:
    name: str | None
    start_time: int
    end_time: int
    delegate_debug_id_str: str | None = None


def test_etdump_events_are_a_delegates_operators_and_executorchs_own():
    def run(begin):
        return [
            ProfileEvent("native_call_gelu.out", begin + 60, begin + 80),
            ProfileEvent("OPERATOR_CALL", begin + 59, begin + 81),
            ProfileEvent(None, begin + 10, begin + 40, CONV),
            ProfileEvent("DELEGATE_CALL", begin + 5, begin + 45),
            ProfileEvent("native_call_gelu.out", begin + 85, begin + 90),
            ProfileEvent("Method::execute", begin, begin + 100),
        ]

    load = ProfileEvent("Program::load_method", 0, 900)
    first, second = executorch.read_runs([load, *run(1000), *run(2000)], {"gelu.out": ["body.1 gelu", "head gelu_1"]})
    assert first == second
    assert [(one.name, one.kind, one.delegated) for one in first] == [
        (CONV, "Convolution", True), ("body.1 gelu", "gelu.out", False), ("head gelu_1", "gelu.out", False)
    ]  # fmt: skip
    assert [one.seconds for one in first] == pytest.approx([30e-9, 20e-9, 5e-9])


def test_ncnns_layers_without_inputs_and_constants(tmp_path):
    param = tmp_path / "model.ncnn.param"
    param.write_text("7767517\n5 6\nInput in0 0 1 in0\nConvolution conv 1 1 in0 1 0=8 1=3\nSplit split 1 2 1 2 3\n"
                     "MemoryData k 0 1 4 0=8\nConcat cat 3 1 3 2 4 out0 0=0\n")  # fmt: skip
    assert ncnn.read_layers(param) == [
        ("Convolution", "conv", "1"), ("Split", "split", "2"), ("Concat", "cat", "out0")
    ]  # fmt: skip


def test_ncnns_layer_takes_what_computing_it_takes_beyond_handing_it_out(monkeypatch):
    clock = iter([0.0, 0.9, 1.0, 1.2, 2.0, 2.3, 3.0, 3.4])  # extractions of 0.9 and 0.2 s, then of 0.3 and 0.4 s
    monkeypatch.setattr(ncnn.time, "perf_counter", lambda: next(clock))
    session = ncnn.NcnnSession.__new__(ncnn.NcnnSession)

    class Extractor:
        def extract(self, blob):
            return 0, blob

    session._images, session._layers = [()], [ncnn.Layer("Convolution", "c", "1"), ncnn.Layer("ReLU", "r", "2")]
    session._extractor = lambda image: Extractor()
    assert [one.seconds for one in session._layer_times()] == pytest.approx([0.7, 0.0])


def test_arguments_are_in_the_order_of_their_numbers():
    names = ["serving_default_args_10", "args_2", "image"]
    assert [litert_profiler.last_number(name) for name in names] == [10, 2, 0]


def test_operators_by_kind_and_what_none_covers():
    frame = operator_frame(DELEGATING)
    assert list(frame["kind"]) == ["Convolution", "GELU", "Add", "in no operator"]
    assert list(frame["calls"]) == [2, 1, 1, 0]
    assert list(frame["share"]) == pytest.approx([0.5, 0.2, 0.1, 0.2])
    slow = operator_frame(replace(DELEGATING, samples=np.full(20, 4e-3)))  # reporting made the run longer
    assert list(slow["share"]) == pytest.approx([5 / 8, 2 / 8, 1 / 8, 0])


def test_the_table_folds_what_is_beyond_its_rows():
    many = tuple(OperatorTime(f"n{place}", f"Kind{place}", 1e-3, False) for place in range(12))
    shown = table([EAGER, replace(DELEGATING, operators=many)])
    rows = [row[:2] for row in shown.rows()]
    assert len(rows) == 8 + 2
    assert [row[1] for row in rows[-2:]] == ["others", "in no operator"]
    assert {row[0] for row in rows} == {"litert"}


def test_operators_that_fell_out_of_a_delegate_are_named():
    assert DELEGATING.fallbacks == OPERATORS[3:]
    assert fallback_sentence(DELEGATING) == (
        "litert: its delegate left 1 of 4 operators to the runtime, 25.0 % of their time: GELU (head/gelu)"
    )
    assert fallback_sentence(replace(DELEGATING, operators=OPERATORS[:3])) == ""
    assert "eager: no operator times" in untold_sentence(EAGER)
    assert untold_sentence(FAILED) == untold_sentence(DELEGATING) == ""


def test_perf_yaml_comes_back(tmp_path):
    path = tmp_path / "perf.yaml"
    perf_yaml.write(BENCH, path)
    eager, litert, failed = perf_yaml.read(path)
    assert litert[:4] == ("float", "zoo:net", "a board: 2 cores", "tflite")
    assert litert.details["inference_time_milliseconds"] == 10.0
    assert litert.details["layer_counts"] == {"total": 4, "cpu": 4}
    assert litert.details["tool_versions"] == {"tflite": "2.1"}
    assert litert.details["opclock"]["fallbacks"] == ["GELU head/gelu"]
    assert "layer_counts" not in eager.details
    peak = round(BENCH.rows[1].peak_bytes / 1e6)  # MB, as in the table and in the key's name
    assert litert.details["estimated_peak_memory_range_mb"] == {"min": peak, "max": peak}
    assert failed.details["job_status"] == "Failed (convert: no)"


PUBLISHED = """
supported_devices:
- Samsung Galaxy S24
precisions:
  float:
    components:
      MobileNet-v2:
        performance_metrics:
          Samsung Galaxy S24:
            tflite:
              inference_time_milliseconds: 0.556
              layer_counts: {total: 71, npu: 71}
"""


def test_a_published_perf_yaml_is_read(tmp_path):
    path = tmp_path / "perf.yaml"
    path.write_text(PUBLISHED)
    (entry,) = perf_yaml.read(path)
    assert (entry.device, entry.details["layer_counts"]["npu"]) == ("Samsung Galaxy S24", 71)


@pytest.mark.parametrize("content", ["", "[]", "precisions: 3", "{", "a: b"])
def test_other_files_are_no_perf_yaml(tmp_path, content):
    path = tmp_path / "perf.yaml"
    path.write_text(content)
    with pytest.raises(ReportError, match=r"is no perf\.yaml"):
        perf_yaml.read(path)


@dataclass
class Node:
    """OpenVINO's ProfilingInfo."""

    node_name: str
    real_time: timedelta
    exec_type: str = "jit_f32"
    node_type: str = "Convolution"


class Request:
    """Runs take 900, 30, 10, 10, ... µs; it tells the mean over all of them."""

    def __init__(self):
        self.took_us = []

    def infer(self, *_arguments, **_options):
        self.took_us.append({0: 900, 1: 30}.get(len(self.took_us), 10))
        return {}

    def get_profiling_info(self):
        mean = timedelta(microseconds=sum(self.took_us) / len(self.took_us))
        return [Node("conv", mean), Node("input", timedelta(), "unknown_f32"), Node("fused", timedelta(), "undef")]


def test_openvinos_means_over_all_runs_do_not_hold_the_first_one():
    session = openvino.OpenVinoSession(Request(), [], profiled=True)
    session.run()
    (conv,) = session.operators()
    assert conv.seconds == pytest.approx(10e-6, abs=1e-6)


def test_bench_shows_operators_and_writes_perf_yaml(tmp_path, monkeypatch):
    asked = {}

    def bench(_model, **options):
        asked.update(options)
        return BENCH

    monkeypatch.setattr("opclock.benchmarking.bench.bench", bench)
    path = tmp_path / "perf.yaml"
    command = ["bench", "zoo:net", "--runtime", "eager", "--threads", "1"]
    done = CliRunner().invoke(commands, [*command, "--operators", "--export", str(path)])
    assert done.exit_code == 0, done.output
    assert asked["operators"]
    assert "GELU (head/gelu)" in done.output
    assert "eager: no operator times: 'opclock estimate' estimates them" in done.output
    assert [entry.runtime for entry in perf_yaml.read(path)] == ["eager", "tflite", "ncnn"]
    refused = CliRunner().invoke(commands, [*command, "--export", str(tmp_path / "perf.txt")])
    assert refused.exit_code != 0
    assert "must end in .yaml" in f"{refused.exception} {refused.output}"
