"""Candidates in child processes: what they sample, and what becomes of runtimes that misbehave."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import time

import faulty
import numpy as np
import psutil
import pytest
from helpers import INTERRUPTIBLE, SMALL, opclock, refused

from opclock.benchmarking.bench import bench
from opclock.benchmarking.options import SamplingOptions, Timeouts
from opclock.errors import OptionError
from opclock.runtimes.runtime import Settings

QUICK = SamplingOptions(warmup=1, iterations=8, duration_s=1.0)
ONE = Settings(1)


@pytest.mark.usefixtures("faulty_runtimes")
def test_what_was_converted_is_found_again_unless_by_another_torch(tmp_path):
    arguments = {"runtimes": ["honest"], "settings": ONE, "sampling": QUICK, "folder": tmp_path, "batch": 2}
    first = bench(SMALL, **arguments)
    again = bench(SMALL, **arguments)
    assert again.rows[1].convert_s == first.rows[1].convert_s > 0
    table = again.to_frame()
    assert table["speedup"][0] == 1.0
    assert (table["throughput_per_s"] == 2 / table["median_s"]).all()
    (note,) = tmp_path.rglob("honest/converted.json")
    fresh = json.loads(note.read_text())
    assert {"opclock", "torch", "faulty"} == set(fresh["versions"])
    note.write_text(json.dumps({**fresh, "versions": {**fresh["versions"], "torch": "0.0"}, "seconds": 99.0}))
    assert bench(SMALL, **arguments).rows[1].convert_s < 99.0
    assert json.loads(note.read_text())["versions"] == fresh["versions"]


NESTED = """
import torch
from torch import nn

class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.head = nn.Embedding(100, 32), nn.Linear(32, 2)
    def forward(self, batch, scale=1.0):
        x = self.emb(batch["ids"]) * scale * batch["mask"][..., None]
        return {"logits": self.head(x.mean(1)), "parts": list(x.chunk(2, 1)), "best": x.mean(1).argmax(1)}

def text():
    return Text(), {"batch": {"ids": torch.randint(0, 100, (1, 16)), "mask": torch.ones(1, 16)}, "scale": 2.0}
"""


@pytest.mark.runtimes("openvino", "onnxruntime")
def test_numbers_and_nested_inputs_go_into_every_runtime(tmp_path):
    (tmp_path / "text.py").write_text(NESTED)
    result = bench(f"{tmp_path / 'text.py'}:text", runtimes=["onnxruntime", "openvino"], settings=ONE, sampling=QUICK,
                   batch=3)  # fmt: skip
    assert [(row.status, row.reason) for row in result.rows] == [("ok", "")] * 3
    assert result.note == ""


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """One bench of all runtimes that misbehave, and of one that does not."""
    names = ["raises", "wrong", "shapeless", "hangs", "dies", "absent", "slow-to-convert", "spawns", "honest"]
    with faulty.installed(tmp_path_factory.mktemp("site")):
        return bench(SMALL, runtimes=names, settings=ONE, sampling=QUICK, timeouts=Timeouts(convert_s=8.0))


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("raises", "failed", ["convert", "ValueError", "no such operator: aten::conv2d"]),
        ("wrong", "failed", ["wrong answer", "differs from eager's"]),
        ("shapeless", "failed", ["wrong answer", "has shape (10,), eager's has (1, 10)"]),
        ("hangs", "failed", ["while timing the model", "no answer within"]),
        ("dies", "failed", ["killed by SIGKILL"]),
        ("absent", "missing", ["pip install absent"]),
        ("slow-to-convert", "failed", ["convert", "no answer within 8 s"]),
    ],
)
def test_a_runtime_that_misbehaves_costs_its_row_alone(together, name, status, words):
    (bad,) = (row for row in together.rows if row.runtime == name)
    assert bad.status == status
    for word in words:
        assert word in bad.reason
    assert "\n" not in bad.reason
    assert len(bad.samples) == 0
    assert math.isnan(together.speedup(bad))


def test_the_others_are_timed_all_the_same(together):
    good = [row for row in together.rows if row.status == "ok"]
    assert [row.runtime for row in good] == ["eager", "spawns", "honest"]
    assert all(row.median_s >= 0.0005 for row in good[1:])
    table = together.to_frame().set_index("runtime")
    assert table.index[table["status"] == "ok"].tolist() == ["eager", "spawns", "honest"]


@pytest.mark.usefixtures("faulty_runtimes")
def test_precisions_that_a_runtime_does_not_offer_are_said():
    result = bench(SMALL, runtimes=["honest"], settings=Settings(1, "bfloat16"), sampling=QUICK)
    assert result.rows[0].status == "ok"
    assert result.rows[1].reason == "offers no bfloat16: float32"


def test_an_unknown_runtime_is_refused():
    with pytest.raises(OptionError, match="no runtime 'tvm': there are eager"):
        bench(SMALL, runtimes=["tvm"], settings=ONE)


def test_what_a_runtime_has_started_ends_with_it(together):
    assert next(row for row in together.rows if row.runtime == "spawns").status == "ok"
    helper = list(faulty.Spawns.helper)
    assert not [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == helper]


@pytest.mark.usefixtures("faulty_runtimes")
def test_ctrl_c_while_converting_ends_the_children_too(tmp_path):
    command = [*INTERRUPTIBLE, "bench", SMALL, "--runtime", "slow-to-convert", "--threads", "1", "--keep", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        deadline = time.monotonic() + 120
        while child.poll() is None and not list(tmp_path.rglob("slow-to-convert-1.log")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        workers = psutil.Process(child.pid).children()
        assert workers
        child.send_signal(signal.SIGINT)
        try:
            assert child.wait(120) == 130, child.stderr.read()
        finally:
            child.kill()
    assert not psutil.wait_procs(workers, timeout=60)[1]


@pytest.mark.usefixtures("faulty_runtimes")
def test_bench_from_the_command_line(tmp_path):
    done = opclock("bench", SMALL, "--runtime", "eager,honest", "--iterations", 8, "--threads", 1,
                   "--percentiles", "75", "--json", tmp_path / "bench.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "bench.json").read_text())
    assert data["schema"] == "opclock.bench/1"
    assert [row["runtime"] for row in data["rows"]] == ["eager", "honest"]
    row = data["rows"][1]
    assert row["min_s"] <= row["median_s"] <= row["p75_s"] <= row["max_s"]
    assert row["median_s"] == np.median(np.array(row["samples_s"])[row["kept"]])
    assert len(row["samples_s"]) == len(row["blocks"]) == len(row["disturbed"])
    assert isinstance(row["flags"], list)
    assert "p75" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("zoo:mobilenet", "--runtime", "tvm"), ["no runtime 'tvm'"]),
        (("zoo:mobilenet", "--percentiles", "0,50"), ["--percentiles '0,50'"]),
        (("zoo:nothing",), ["the zoo has no model 'nothing'"]),
        (("zoo:mobilenet", "--input", "1xbad"), ["--input 1xbad: not a shape"]),
        (("zoo:mobilenet", "--weights", "/no/weights.pt"), ["cannot read the weights /no/weights.pt: No such file"]),
    ],
)
def test_refusals(arguments, words):
    done = opclock("bench", *arguments)
    refused(done, *words)
    assert "prepare:" not in done.stderr
    assert "Error:" not in done.stderr
