"""Batch curves that are estimated from kernels, each batch in a process of its own."""

from __future__ import annotations

import json

import pytest
from helpers import SMALL, opclock, refused

from opclock.benchmarking.batch_search import estimated_curve
from opclock.benchmarking.worker.process import WorkerProcess
from opclock.errors import ModelError
from opclock.runtimes.runtime import Settings

ONE = Settings(1)


@pytest.mark.slow
def test_an_estimated_curve_stays_in_the_profile(profile):
    first = estimated_curve(SMALL, profile, settings=ONE, max_batch=2, max_s=0.3)
    assert [point.batch for point in first.points] == [1, 2]
    assert all(point.latency_s > 0 for point in first.points)
    # On a busy machine so few rounds say so little that the interval reaches down to 0, where it ends.
    assert all(0 <= point.low_s <= point.latency_s <= point.high_s for point in first.points)
    pools = profile.pools(("in_model",), "cpu", 1, ended=True)
    assert len(pools) == 2
    assert estimated_curve(SMALL, profile, settings=ONE, max_batch=2, max_s=0.3).points == first.points
    assert profile.pools(("in_model",), "cpu", 1) == pools


def test_a_model_that_does_not_run_has_no_curve(profile):
    with pytest.raises(ModelError, match=r"refuses does not run in eager PyTorch: RuntimeError: not today"):
        estimated_curve(SMALL.replace(":small", ":refuses"), profile, settings=ONE)


@pytest.mark.slow
def test_a_child_that_dies_leaves_its_rounds(profile, monkeypatch):
    ask = WorkerProcess.ask

    def dying(self, name, timeout_s, **details):
        if name == "estimate":
            self.kill()
        return ask(self, name, timeout_s, **details)

    monkeypatch.setattr(WorkerProcess, "ask", dying)
    with pytest.raises(ModelError, match="while composing the estimate: killed by SIGKILL"):
        estimated_curve(SMALL, profile, settings=ONE, max_batch=1, max_s=0.3)
    (interrupted,) = profile.pools(("in_model",), "cpu", 1)
    rounds = len(profile.pool(interrupted).rounds_s)
    assert rounds > 0
    monkeypatch.undo()
    estimated_curve(SMALL, profile, settings=ONE, max_batch=1, max_s=0.3)
    assert profile.pools(("in_model",), "cpu", 1, ended=True) == [interrupted]
    assert len(profile.pool(interrupted).rounds_s) > rounds


@pytest.mark.slow
def test_batch_from_the_command_line(tmp_path):
    done = opclock("batch", SMALL, "--max-batch", 2, "--threads", 1, "--plot", tmp_path / "batch.svg", "--json", "-")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert {curve["source"] for curve in data["curves"]} == {"measured", "estimated"}
    for curve in data["curves"]:
        assert [point["batch"] for point in curve["points"]] == [1, 2]
    assert set(data["smallest"].values()) <= {1, 2}
    assert (tmp_path / "batch.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--share", "95"), ["--share 95.0", "such as 0.95"]), (("--plot", "x.bmp"), ["--plot x.bmp"])],
)
def test_refusals(arguments, words):
    refused(opclock("batch", "zoo:mobilenet", *arguments), *words)
