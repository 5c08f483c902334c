"""The commands that run on boards, with a real scheduler and real workers. What the boards answer is made up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading

import pytest
from helpers import INTERRUPTIBLE, chain, filled, opclock, refused

pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="a board needs Linux"),
    pytest.mark.filterwarnings("default"),  # dask's own
    pytest.mark.usefixtures("impatient"),
]

from held_job import Held  # noqa: E402

from benchmarks.farm.small_farm import events, job, wait_until  # noqa: E402


def on_farm(small, monkeypatch, *words, **options):
    monkeypatch.setenv("OPCLOCK_FARM", small.url)
    return opclock(*words, **options)


def test_the_same_command_runs_on_each_board(small, monkeypatch, tmp_path):
    """The model's folder travels, options of this machine stay, and each board's answer is in the JSON."""
    (tmp_path / "models").mkdir()
    for name in ("net.py", "layers.py"):
        (tmp_path / "models" / name).write_text("")
    done = on_farm(small, monkeypatch, "measure", "models/net.py:make", "--threads", "1", "--on", "a,b", "--json", "-",
                   "--cpus", "77", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["schema"] == "opclock.farm/1"
    assert [one["board"]["name"] for one in answer["results"]] == ["a", "b"]
    for one in answer["results"]:
        assert (one["status"], one["reason"], one["board"]["versions"]["torch"]) == ("done", "", "2.13.0")
        assert one["job"].startswith("opclock-")
        assert one["result"]["words"] == [
            "measure", "files/0/models/net.py:make", "--threads", "1", "--cpus", "77", "--json", "result.json",
            "--profile", f"opclock-{one['board']['name']}.sqlite",
        ]  # fmt: skip
    assert "files: models/layers.py models/net.py" in done.stderr  # as they are named here


def test_a_command_without_a_profile_keeps_one_in_the_folder_of_its_job(small, monkeypatch, tmp_path):
    """Its own was temporary: where its board was lost, it began again from nothing."""
    done = on_farm(small, monkeypatch, "validate", "zoo:mobilenet", "--on", "a", "--json", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert result["result"]["words"][-2:] == ["--profile", "profile.sqlite"]
    assert result["profile"] is None
    assert not list(tmp_path.glob("*.sqlite"))
    for words in (("bench", "zoo:mobilenet"), ("llm", "zoo:gpt2", "--predict")):
        done = on_farm(small, monkeypatch, *words, "--on", "a", "--json", "-", cwd=tmp_path)
        assert "--profile" not in json.loads(done.stdout)["results"][0]["result"]["words"]


def test_each_board_gets_its_part_of_a_split_sweep(small, monkeypatch, tmp_path):
    kernel = ("sweep", "gemm", "--m", "8", "--n", "8", "--k", "8", "--split")
    done = on_farm(small, monkeypatch, *kernel, "--on", "a,b", "--json", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    words = [one["result"]["words"] for one in json.loads(done.stdout)["results"]]
    assert [one[one.index("--part") + 1] for one in words] == ["1/2", "2/2"]
    assert not any("--split" in one for one in words)
    refused(opclock(*kernel), "name them by --on")


def test_a_file_that_a_board_writes_comes_back_under_its_name(small, monkeypatch, tmp_path):
    """It failed: the job's folder on the board had no folder for it."""
    done = on_farm(small, monkeypatch, "batch", "zoo:mobilenet", "--on", "a", "--plot", "curve.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "curve-a.png").read_text() == "a plot"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("measure", "zoo:mobilenet", "--profile", "/proc/x.sqlite"), "cannot write /proc/x-a.sqlite"),
        (("study", "tokens", "--report", "/proc/tokens"), "cannot write into /proc/tokens-a"),
    ],
)
def test_what_could_not_be_stored_is_refused_before_a_board_measures(small, monkeypatch, words, said):
    """It was measured first."""
    before = set(small.store("a").iterdir())
    refused(on_farm(small, monkeypatch, *words, "--on", "a"), said)
    assert set(small.store("a").iterdir()) == before


def test_a_command_says_which_boards_do_something_else_first(small, farm, ledger, monkeypatch, tmp_path):
    """It waited without a word."""
    held, done = Held(farm, ledger), []
    command = ("measure", "zoo:mobilenet", "--on", "a,b")
    given = threading.Thread(target=lambda: done.append(on_farm(small, monkeypatch, *command, cwd=tmp_path)))
    given.start()
    wait_until(lambda: {board.name: board.queue for board in farm.boards()}["a"])
    assert held.outcome().status == "done"
    given.join()
    assert "a is busy: 1 job of the farm before this one\n" in done[0].stderr
    assert "b is busy" not in done[0].stderr


def test_boards_that_cannot_take_part_are_named_before_anything_runs(small, monkeypatch, tmp_path):
    done = on_farm(small, monkeypatch, "bench", "zoo:mobilenet", "--on", "all", "--json", "out.json", cwd=tmp_path)
    assert done.returncode == 1
    statuses = {one["board"]["name"]: (one["status"], one["reason"])
                for one in json.loads((tmp_path / "out.json").read_text())["results"]}  # fmt: skip
    assert statuses["a"] == statuses["b"] == ("done", "")
    assert statuses["late"][0] == "refused"
    assert "its clock is 24 h ahead" in statuses["late"][1]
    refused(
        on_farm(small, monkeypatch, "measure", "zoo:mobilenet", "--on", "nobody"), "no board 'nobody'", "a, b, late"
    )
    refused(on_farm(small, monkeypatch, "measure", "zoo:mobilenet", "--on", "tag:x"), "first, odd, second")


def test_the_list_shows_boards_and_their_state(small, monkeypatch):
    done = on_farm(small, monkeypatch, "farm", "list", "--json", "-")
    boards = {board["name"]: board for board in json.loads(done.stdout)["boards"]}
    assert boards["a"]["state"] == "free"
    assert boards["a"]["tags"] == ["first"]
    assert boards["late"]["clock_ahead_s"] == pytest.approx(86_400.0, abs=30.0)


def test_a_command_that_is_wrong_on_each_board_ends_as_it_would_here(small, monkeypatch, tmp_path):
    """Its exit code was 1."""
    done = on_farm(small, monkeypatch, "measure", "zoo:wrong", "--on", "a,b", "--json", "-", cwd=tmp_path)
    assert done.returncode == 2
    assert [one["reason"] for one in json.loads(done.stdout)["results"]] == ["no model 'x'", "no model 'x'"]
    assert "0 of 2 boards answered" in done.stderr
    done = on_farm(small, monkeypatch, "measure", "zoo:wrong", "--on", "a,late", cwd=tmp_path)
    assert done.returncode == 1  # the other one was not asked


def test_answers_before_an_interruption_are_in_the_json(small, farm, ledger, monkeypatch, tmp_path):
    """They were lost."""
    held = Held(farm, ledger, where="name:b")
    monkeypatch.setenv("OPCLOCK_FARM", small.url)
    said = tmp_path / "said.txt"
    with said.open("w") as file:
        given = subprocess.Popen([*INTERRUPTIBLE, "measure", "zoo:mobilenet", "--on", "a,b", "--json", "out.json"],
                                 cwd=tmp_path, stdout=file, stderr=file)  # fmt: skip
    wait_until(lambda: "== a: done" in said.read_text())
    given.send_signal(signal.SIGINT)
    assert given.wait() == 130
    results = json.loads((tmp_path / "out.json").read_text())["results"]
    assert [(one["board"]["name"], one["status"]) for one in results] == [("a", "done"), ("b", "lost")]
    assert results[1]["reason"] == "interrupted: the same command goes on"
    assert held.outcome().status == "done"


def cancelled(small, monkeypatch):
    """Cancel what b runs, and wait until it is free."""
    done = on_farm(small, monkeypatch, "farm", "cancel", "b")
    assert (done.returncode, done.stdout.endswith("is cancelled\n")) == (0, True), done.stderr
    with small.connect() as other:
        wait_until(lambda: {board.name: board.state for board in other.boards()}["b"] == "free")
    assert on_farm(small, monkeypatch, "farm", "cancel", "b").stdout == "b runs no job\n"


def test_a_cancelled_job_is_not_given_again(small, farm, ledger, monkeypatch):
    held = Held(farm, ledger, where="name:b")
    cancelled(small, monkeypatch)
    outcome = held.outcome()
    assert (outcome.status, outcome.reason) == ("lost", "it was cancelled by 'opclock farm cancel'")


def test_a_job_that_nobody_waits_for_can_be_cancelled(small, ledger, monkeypatch):
    """It kept its board until its limit where the machine that gave it had crashed."""
    with small.connect() as gone:
        gone._give(job("answer", ledger, "held", where="name:b"))
        wait_until(lambda: events(ledger) == ["begin"])
    cancelled(small, monkeypatch)
    assert events(ledger) == ["begin"]


def test_no_board_is_not_this_machine(small, monkeypatch):
    """An empty variable in a script measured here."""
    refused(on_farm(small, monkeypatch, "measure", "zoo:mobilenet", "--on", ""), "--on ''", "a name is missing")


def test_an_answer_replaces_no_other_file(small, monkeypatch, tmp_path):
    """The JSON replaced the profile, with exit code 0."""
    words = ("measure", "zoo:mobilenet", "--on", "a", "--profile", "x.sqlite")
    done = on_farm(small, monkeypatch, *words, "--json", "x-a.sqlite", cwd=tmp_path)
    refused(done, "x-a.sqlite: the command names this file")
    filled(tmp_path / "x-a.sqlite", chain("relu"), {"relu": 1e-3})  # of another board
    refused(on_farm(small, monkeypatch, *words, cwd=tmp_path), "x-a.sqlite is of test board", "the board a is a board")


def test_a_name_that_is_no_text_cannot_travel(small, monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "net.py").write_text("")
    try:
        (tmp_path / "models" / os.fsdecode(b"bad\xff")).touch()
    except OSError:
        pytest.skip("this file system has no such names")
    refused(on_farm(small, monkeypatch, "measure", "models/net.py:make", "--on", "a", cwd=tmp_path), "is not UTF-8")


def test_a_drained_board_finishes_its_job_and_ends(small, farm, ledger, monkeypatch):
    """Last: the board is gone."""
    held = Held(farm, ledger, where="name:late", versions=())
    assert on_farm(small, monkeypatch, "farm", "drain", "late").returncode == 0
    assert {board.name: board.state for board in farm.boards()}["late"] == "draining"
    assert held.outcome().status == "done"
    assert small.code("late") == 0
    assert events(ledger) == ["begin", "end"]
