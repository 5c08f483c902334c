"""The small model through every runtime that is installed."""

from __future__ import annotations

import math

import pytest
from helpers import SMALL

from opclock.benchmarking.options import SamplingOptions
from opclock.benchmarking.vendor_tools import crosscheck
from opclock.runtimes.registry import find, names
from opclock.runtimes.runtime import Settings
from opclock.studies import landscape

QUICK = SamplingOptions(warmup=1, iterations=8, duration_s=1.0)
ONE = Settings(1)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """One landscape of all that is installed."""
    installed = [name for name in names() if not find(name).missing()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landscape, "SAMPLING", QUICK)
        patch.setattr(landscape, "BATCH_SAMPLING", QUICK)
        patch.setattr(landscape, "ESTIMATE_S", 0.2)
        return landscape.run(tmp_path_factory.mktemp("study"), models=[SMALL], runtimes=installed, batches=[1, 2],
                             settings=ONE)  # fmt: skip


@pytest.mark.runtimes
def test_every_installed_runtime_answers_as_eager_does_and_is_timed(everything):
    (entry,) = everything.entries
    assert len(entry.rows) >= 2
    for row in (*entry.rows, *entry.batches):
        assert (row.runtime, row.status, row.reason) == (row.runtime, "ok", "")
        assert len(row.samples) >= 2
        assert (row.samples > 0).all()
        assert row.peak_bytes > 10_000_000
        assert row.versions
    assert entry.speedup("eager") == 1.0


@pytest.mark.runtimes("openvino", "onnxruntime", "litert", "ncnn", "executorch")
def test_runtimes_that_report_operator_times_say_which_are_macs(everything):
    (entry,) = everything.entries
    reporting = [row for row in entry.rows if find(row.runtime).reports_operator_times]
    assert {"openvino", "onnxruntime", "litert", "ncnn", "executorch"} <= {row.runtime for row in reporting}
    for row in reporting:
        assert sum(operator.is_mac for operator in row.operators) >= 2
        assert 0 < sum(operator.seconds for operator in row.operators) < 1
        split = entry.split(row.runtime)
        assert split.basis == "operators"
        assert math.isclose(split.mac_s + split.non_mac_s, row.median_s)


@pytest.mark.runtimes("openvino")
def test_vendors_benchmark_runs_the_same_model():
    checks = crosscheck(SMALL, settings=ONE, blocks=2, seconds=1.0)
    app = next(check for check in checks if check.command == "benchmark_app")
    assert app.reason == ""
    assert len(app.ours_s) == len(app.theirs_s) == 2
    assert min(*app.ours_s, *app.theirs_s) > 0
    assert max(*app.ours_s, *app.theirs_s) < 1


@pytest.mark.runtimes("litert", "executorch")
def test_operators_that_fell_out_of_a_delegate_have_the_name_of_their_node(everything):
    (entry,) = everything.entries
    rows = {row.runtime: row for row in entry.rows}
    assert any(operator.delegated for operator in rows["litert"].operators)
    assert rows["executorch"].fallbacks, "XNNPACK has no operator that splits along channels"
    for operator in rows["executorch"].fallbacks:
        assert operator.kind.partition(".")[0] in operator.name
    assert entry.row("onnxruntime") is None or not rows["onnxruntime"].fallbacks
