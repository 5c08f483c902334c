"""Runtimes in child processes: real ones on a small model, and ones that misbehave."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import time

import faulty
import numpy as np
import psutil
import pytest
from helpers import INTERRUPTIBLE, opclock, refused

from opclock.benchmarking import session as contest
from opclock.benchmarking.batch_search import estimated_curve
from opclock.benchmarking.bench import bench
from opclock.benchmarking.session import SamplingOptions, Timeouts
from opclock.benchmarking.vendor_tools import crosscheck
from opclock.benchmarking.worker.process import WorkerProcess
from opclock.board.identity import read_board
from opclock.errors import ModelError, OptionError
from opclock.profiles.profile import Profile
from opclock.runtimes.registry import find, names
from opclock.runtimes.runtime import Settings
from opclock.studies import landscape as landscaping
from opclock.studies.landscape import study
from opclock.studies.landscape_results import FILE, Landscape

SMALL = """
import torch
from torch import nn
class Split(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1))
        self.head = nn.Linear(16, 10)
    def forward(self, x):
        x = self.body(x)
        left, right = x.chunk(2, 1)
        return self.head(torch.cat((right, left), 1).mean((2, 3)))
    def postprocess(self, scores):
        return scores.argmax(1)
def small():
    torch.manual_seed(3)
    return Split(), torch.randn(1, 3, 32, 32)
def refuses():
    class Refuses(nn.Module):
        def forward(self, x):
            raise RuntimeError("not today")
    return Refuses(), torch.randn(1, 3)
"""
QUICK = SamplingOptions(warmup=1, iterations=8, duration_s=1.0)
ONE = Settings(1)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "small.py"
    path.write_text(SMALL)
    return f"{path}:small"


@pytest.fixture
def misbehaving(tmp_path, monkeypatch):
    """The runtimes of tests/faulty.py, installed for this process and its children."""
    folder = tmp_path / "site"
    folder.mkdir()
    faulty.install(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(contest, "GRACE_S", 1.5)


@pytest.fixture(scope="module")
def everything(small, tmp_path_factory):
    """The small model through all that is installed."""
    patch = pytest.MonkeyPatch()
    patch.setattr(landscaping, "TIMING", QUICK)
    patch.setattr(landscaping, "BATCH_TIMING", QUICK)
    installed = [name for name in names() if not find(name).missing()]
    made = study(tmp_path_factory.mktemp("study"), models=[small], runtimes=installed, batches=[1, 2], settings=ONE)
    patch.undo()
    return made


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


@pytest.mark.runtimes
def test_runtimes_that_tell_their_operators_times_tell_the_kind(everything):
    (entry,) = everything.entries
    telling = [row for row in entry.rows if find(row.runtime).reports_operator_times]
    assert telling
    for row in telling:
        assert sum(operator.is_mac for operator in row.operators) >= 2
        assert 0 < sum(operator.seconds for operator in row.operators) < 1
        split = entry.split(row.runtime)
        assert split.basis == "operators"
        assert math.isclose(split.mac_s + split.non_mac_s, row.median_s)


@pytest.mark.runtimes("openvino")
def test_what_was_converted_is_found_again(small, tmp_path):
    arguments = {"runtimes": ["openvino"], "settings": ONE, "sampling": QUICK, "folder": tmp_path, "batch": 2}
    first = bench(small, **arguments)
    again = bench(small, **arguments)
    assert again.rows[1].convert_s == first.rows[1].convert_s > 0
    table = again.to_frame()
    assert table["speedup"][0] == 1.0
    assert (table["throughput_per_s"] == 2 / table["median_s"]).all()


@pytest.mark.usefixtures("misbehaving")
@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("raises", "failed", ["convert", "ValueError", "no such operator: aten::conv2d"]),
        ("wrong", "failed", ["wrong answer", "differs from eager's"]),
        ("shapeless", "failed", ["wrong answer", "has shape (10,), eager's has (1, 10)"]),
        ("hangs", "failed", ["block", "no answer within"]),
        ("dies", "failed", ["killed by SIGKILL"]),
        ("absent", "missing", ["pip install absent"]),
        ("slow-to-convert", "failed", ["convert", "no answer within 3 s"]),
    ],
)
def test_a_runtime_that_misbehaves_costs_its_row_alone(small, name, status, words):
    made = bench(small, runtimes=[name, "honest"], settings=ONE, sampling=QUICK, timeouts=Timeouts(convert_s=3.0))
    eager, bad, good = made.rows
    assert (eager.status, good.status) == ("ok", "ok")
    assert good.median_s >= 0.0005
    assert bad.status == status
    for word in words:
        assert word in bad.reason
    assert "\n" not in bad.reason
    assert len(bad.samples) == 0
    assert math.isnan(made.speedup(bad))
    frame = made.to_frame()
    assert list(frame["status"]) == ["ok", status, "ok"]


@pytest.mark.usefixtures("misbehaving")
def test_a_study_goes_on_where_it_was_interrupted(small, tmp_path):
    other = f"{small.rpartition(':')[0]}:refuses"
    arguments = {"runtimes": ["honest", "dies"], "batches": [1, 2], "settings": ONE}
    with pytest.raises(ModelError, match="not today"):
        study(tmp_path, models=[small, other], **arguments)
    kept = Landscape.load(tmp_path / FILE)
    assert [entry.model for entry in kept.entries] == [small]
    again = study(tmp_path, models=[small], **arguments)
    assert (again.entries[0].rows[1].samples == kept.entries[0].rows[1].samples).all()
    entry = again.entries[0]
    assert [row.status for row in entry.rows] == ["ok", "ok", "failed"]
    assert [(row.runtime, row.batch) for row in entry.batches] == [
        ("eager", 1),
        ("eager", 2),
        ("honest", 1),
        ("honest", 2),
    ]
    assert len(entry.post_s) > 0
    assert entry.classes_s["convolution"] > 0


@pytest.mark.runtimes("onnxruntime")
def test_precisions_that_a_runtime_does_not_offer_are_said(small):
    made = bench(small, runtimes=["onnxruntime"], settings=Settings(1, "bfloat16"), sampling=QUICK)
    assert made.rows[0].status == "ok"
    assert made.rows[1].reason == "offers no bfloat16: float32"


@pytest.mark.runtimes("openvino")
def test_vendors_benchmark_runs_the_same_model(small):
    checks = crosscheck(small, settings=ONE, turns=2, seconds=1.0)
    app = next(check for check in checks if check.command == "benchmark_app")
    assert app.reason == ""
    assert len(app.ours_s) == len(app.theirs_s) == 2
    assert 0.05 < 1 + app.deviation < 20


def test_an_unknown_runtime_is_refused():
    with pytest.raises(OptionError, match="no runtime 'tvm': there are eager"):
        bench("zoo:mobilenet", runtimes=["tvm"], settings=ONE)


@pytest.mark.usefixtures("misbehaving")
def test_what_a_runtime_has_started_ends_with_it(small):
    row = bench(small, runtimes=["spawns"], settings=ONE, sampling=QUICK).rows[-1]
    assert row.status == "ok"
    helper = list(faulty.Spawns.helper)
    assert not [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == helper]


@pytest.mark.usefixtures("misbehaving")
def test_ctrl_c_while_converting_ends_the_children_too(small):
    command = [*INTERRUPTIBLE, "bench", small, "--runtime", "slow-to-convert", "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        for line in child.stderr:
            if "converting for slow-to-convert" in line:
                break
        time.sleep(1.0)
        workers = psutil.Process(child.pid).children()
        assert workers
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == 130, child.stderr.read()
    assert not psutil.wait_procs(workers, timeout=5)[1]


@pytest.mark.runtimes("openvino")
def test_bench_from_the_command_line(small, tmp_path):
    done = opclock("bench", small, "--runtime", "eager,openvino", "--iterations", 8, "--threads", 1,
                   "--percentiles", "75", "--json", tmp_path / "bench.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "bench.json").read_text())
    assert data["schema"] == "opclock.bench/1"
    assert [row["runtime"] for row in data["rows"]] == ["eager", "openvino"]
    row = data["rows"][1]
    assert row["min_s"] <= row["median_s"] <= row["p75_s"] <= row["max_s"]
    assert row["median_s"] == np.median(row["samples_s"])
    assert "p75 (ms)" in done.stdout


@pytest.mark.slow
def test_batch_from_the_command_line(small, tmp_path):
    done = opclock("batch", small, "--most", 2, "--threads", 1, "--plot", tmp_path / "batch.svg", "--json", "-")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert {curve["source"] for curve in data["curves"]} == {"measured", "estimated"}
    for curve in data["curves"]:
        assert [point["batch"] for point in curve["points"]] == [1, 2]
    assert set(data["smallest"].values()) <= {1, 2}
    assert (tmp_path / "batch.svg").read_text().startswith("<?xml")


@pytest.fixture
def profile(profile_path):
    with Profile.create_or_open(profile_path, read_board()) as opened:
        yield opened


@pytest.mark.slow
def test_an_estimated_curve_stays_in_the_profile(small, profile):
    first = estimated_curve(small, profile, settings=ONE, most=2, max_s=0.3)
    assert [point.batch for point in first.points] == [1, 2]
    assert all(0 < point.low_s <= point.latency_s <= point.high_s for point in first.points)
    pools = profile.pools(("in_model",), "cpu", 1, ended=True)
    assert len(pools) == 2
    assert estimated_curve(small, profile, settings=ONE, most=2, max_s=0.3).points == first.points
    assert profile.pools(("in_model",), "cpu", 1) == pools


def test_a_model_whose_kernels_cannot_be_timed(small, profile):
    with pytest.raises(ModelError, match=r"kernels of .*refuses cannot be timed: .*not today"):
        estimated_curve(small.replace(":small", ":refuses"), profile, settings=ONE)


def test_a_child_that_dies_leaves_its_rounds(small, profile, monkeypatch):
    ask = WorkerProcess.ask

    def dying(self, what, limit_s, **details):
        if what == "estimate":
            self.kill()
        return ask(self, what, limit_s, **details)

    monkeypatch.setattr(WorkerProcess, "ask", dying)
    with pytest.raises(ModelError, match="estimate: killed by SIGKILL"):
        estimated_curve(small, profile, settings=ONE, most=1, max_s=0.3)
    (interrupted,) = profile.pools(("in_model",), "cpu", 1)
    rounds = len(profile.pool(interrupted).rounds_s)
    assert rounds > 0
    monkeypatch.undo()
    estimated_curve(small, profile, settings=ONE, most=1, max_s=0.3)
    assert profile.pools(("in_model",), "cpu", 1, ended=True) == [interrupted]
    assert len(profile.pool(interrupted).rounds_s) > rounds


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("bench", "zoo:mobilenet", "--runtime", "tvm"), ["no runtime 'tvm'"]),
        (("bench", "zoo:mobilenet", "--percentiles", "0,50"), ["--percentiles '0,50'"]),
        (("bench", "zoo:nothing"), ["zoo:nothing does not run in eager PyTorch", "the zoo has no model"]),
        (("batch", "zoo:mobilenet", "--share", "95"), ["--share 95.0", "such as 0.95"]),
        (("batch", "zoo:mobilenet", "--plot", "x.bmp"), ["--plot x.bmp"]),
        (("study", "landscape", "--batches", "1,two"), ["--batches '1,two'"]),
        (("study", "landscape", "--combine", "one.json"), ["at least two boards"]),
        (("study", "landscape", "--combine", "/dev/null", "/dev/null"), ["/dev/null is no landscape.json"]),
        (("study", "landscape", "--models", "nothing"), ["no model 'nothing'"]),
    ],
)
def test_refusals(arguments, words, tmp_path):
    refused(opclock(*arguments, cwd=tmp_path), *words)
