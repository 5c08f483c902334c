"""Work without a board, on the workers of a dask cluster. They are threads of this process here."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from helpers import board_profile, linear_trace, opclock, refused

pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="children need Linux"),
    pytest.mark.filterwarnings("default"),  # dask's own
]

from distributed import LocalCluster  # noqa: E402

from opclock.errors import FarmError, ModelError  # noqa: E402
from opclock.farm import cluster as on_cluster  # noqa: E402
from opclock.farm.address import Address  # noqa: E402
from opclock.farm.cluster import Cluster  # noqa: E402
from opclock.farm.job import SLOT  # noqa: E402
from opclock.ranking.processes import RankingProcess  # noqa: E402


@pytest.fixture(scope="module")
def url():
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        protocol="tcp",
    ) as local:
        yield local.scheduler_address


@contextmanager
def halving(folder, count):
    """What the workers keep ready: a function that knows its files."""
    text = (folder / "unit").read_text()

    def half(number):
        if number == 3:
            raise ValueError("3 is odd")
        if number == 5:
            raise ModelError("5 is no model")
        return f"{number // 2} {text} {count}"

    yield half


def done(url, folder, *items):
    (folder / "unit").write_text("m")
    with Cluster(Address.of(url)) as cluster:
        return {item: (answer, reason) for item, answer, reason in cluster.work(halving, {"unit": folder / "unit"},
                                                                                 items)}  # fmt: skip


def test_each_item_has_its_answer_or_the_reason(url, tmp_path):
    assert done(url, tmp_path, 2, 3, 4) == {
        2: ("1 m 1", ""), 3: (None, "on the cluster: 3 is odd"), 4: ("2 m 1", "")}  # fmt: skip
    with pytest.raises(FarmError, match=r"on a worker of .*: 5 is no model"):
        done(url, tmp_path, 5)


def test_a_worker_with_another_opclock_is_refused(url, tmp_path, monkeypatch):
    ready = on_cluster._Ready

    class Newer(ready):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self._version = "9"

    monkeypatch.setattr(on_cluster, "_Ready", Newer)
    with pytest.raises(FarmError, match="this machine 9: install the same"):
        done(url, tmp_path, 2)


def test_a_scheduler_without_workers_or_with_boards_is_refused(monkeypatch):
    with LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp") as local:
        with pytest.raises(FarmError, match="has no workers: start some there: dask worker"):
            Cluster(Address.of(local.scheduler_address))
        boards = {"tcp://x": {"name": "pi5", "opclock": {}, "resources": {SLOT: 1}}}
        monkeypatch.setattr(Cluster, "_workers", lambda _self: boards)
        with pytest.raises(FarmError, match=r"has boards \(pi5\), which must do nothing"):
            Cluster(Address.of(local.scheduler_address))


def test_candidates_rank_as_they_do_here(url, tmp_path, monkeypatch):
    """Those that cannot be estimated are named, too. One process dies, and takes no other candidate along."""
    folder, board = tmp_path / "traces", tmp_path / "board.sqlite"
    folder.mkdir()
    for width in (6, 50, 90):
        linear_trace(f"model{width}", width).save(folder / f"width{width}.json")
    (folder / "broken.json").write_text("{")
    swept = [call for width in range(4, 100, 4) for call in linear_trace("m", width).calls]
    board_profile(board, swept, np.repeat(np.linspace(1e-6, 1e-4, 24), 2))

    def ranked(*words):
        out = opclock("rank", folder, "--profile", board, *words, "--json", "-")
        assert out.returncode == 0, out.stderr
        answer = json.loads(out.stdout)
        for row in answer["rows"]:
            row.pop("state")
        return answer

    here = ranked("--jobs", "1")
    assert [row["candidate"] for row in here["rows"]] == ["width6", "width50", "width90"]
    assert ranked("--cluster", url) == here
    row = RankingProcess.row
    monkeypatch.setattr(
        RankingProcess,
        "row",
        lambda self, number: (number == 2 and os.kill(self._child.pid, signal.SIGKILL), row(self, number))[1],
    )
    answer = ranked("--cluster", url)
    assert [row["candidate"] for row in answer["rows"]] == ["width50", "width90"]
    assert {row["candidate"] for row in answer["failed"]} == {"broken", "width6"}
    refused(
        opclock("rank", folder, "--profile", board, "--jobs", "2", "--cluster", url), "--jobs 2 is for this machine"
    )
    monkeypatch.setattr("opclock.farm.connecting.CONNECT_S", 0.2)
    refused(opclock("rank", folder, "--profile", board, "--cluster", "tcp://127.0.0.1:1"), "no scheduler answers")


def test_the_corpus_asks_its_processes_for_each_model(tmp_path, monkeypatch):
    """A request with a name was refused: every model of a cluster was wrong."""
    from benchmarks.corpus import server
    from opclock.children.process import ChildProcess

    serve = "from opclock.children.serving import serve; serve({'examine': lambda request: {'row': request}})"
    command = [sys.executable, "-c", serve]
    monkeypatch.setattr(
        server.ExaminingProcess, "__init__", lambda self, log: ChildProcess.__init__(self, command, log, {})
    )
    with server.examining(60.0, tmp_path, 1) as row:
        answer = row(("timm", "beit"))
    assert (answer["kind"], answer["name"], answer["limit_s"]) == ("timm", "beit", 60.0)
