"""A farm with a real scheduler and real workers, and what breaks in one. The commands of the boards are made up."""

from __future__ import annotations

import json
import os
import signal
import threading
from dataclasses import replace

import psutil
import pytest
from helpers import opclock, refused

pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="a board needs Linux"),
    pytest.mark.filterwarnings("default"),  # dask's own
]

from benchmarks.farm.small_farm import SmallFarm, events, job, lines, wait_until  # noqa: E402
from opclock.farm.worker import equal_boards  # noqa: E402

EQUAL = equal_boards("a board")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    farm = SmallFarm(tmp_path_factory.mktemp("farm"))
    cores = sorted(os.sched_getaffinity(0))
    farm.begin("a", cpus=cores[:1], tags=["first"])
    farm.begin("b", cpus=cores[-1:], tags=["second"])
    farm.begin("late", ahead_s=86_400.0, versions={"torch": "2.9.1"}, tags=["odd"], identity="another board")
    try:
        farm.wait_for("a", "b", "late")
        yield farm
    finally:
        farm.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("opclock.farm.session.POLL_S", 0.02)


@pytest.fixture
def farm(small):
    with small.connect() as connected:
        yield connected


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "ledger"


def outcome_of(farm, one):
    ((_, outcome),) = farm.run([one])
    return outcome


def test_each_board_runs_its_job_on_its_cores(farm, ledger):
    jobs = [job("answer", ledger, where=f"name:{name}") for name in ("a", "b")]
    outcomes = {given.where: outcome for given, outcome in farm.run(jobs)}
    cores = sorted(os.sched_getaffinity(0))
    assert [outcome.status for outcome in outcomes.values()] == ["done", "done"]
    assert outcomes["name:a"].result["cores"] == cores[:1]
    assert outcomes["name:b"].result["cores"] == cores[-1:]
    assert outcomes["name:b"].text == "answered\n"


@pytest.mark.parametrize(
    ("words", "limit_s", "status", "reason"),
    [
        ("crash", 60.0, "failed", "killed by SIGSEGV"),
        ("hang", 0.4, "failed", "no end within 0.4 s"),
        ("refuse", 60.0, "failed", "no model 'x'"),
        ("raise", 60.0, "failed", "RuntimeError: nobody expected this"),  # its exit code, 1, is an answer otherwise
        ("no", 60.0, "done", ""),
    ],
)
def test_a_command_that_fails_leaves_the_board_free(farm, ledger, words, limit_s, status, reason):
    outcome = outcome_of(farm, job(words, limit_s=limit_s))
    assert outcome.status == status
    assert reason in outcome.reason
    assert outcome_of(farm, job("answer", ledger)).status == "done"


class Held:
    """A job that a board has begun, and that ends once it is let go."""

    def __init__(self, farm, ledger, **options):
        self._ledger = ledger
        self.outcomes = []
        self._thread = threading.Thread(
            target=lambda: self.outcomes.append(outcome_of(farm, job("answer", ledger, "held", **options)))
        )
        self._thread.start()
        self.wait_for("begin")
        self.board = lines(ledger)[0].split()[1]

    def wait_for(self, *noted):
        wait_until(lambda: events(self._ledger) == list(noted))

    def outcome(self):
        self._ledger.with_name("go").touch()
        self._thread.join()
        return self.outcomes[0]


def ended(process):
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_list_is_right_at_once(farm, ledger):
    """It was as old as the last heartbeat: up to ten seconds."""
    for number in range(3):
        ledger.with_name("go").unlink(missing_ok=True)
        held = Held(farm, ledger.with_name(f"ledger{number}"))
        boards = {board.name: board for board in farm.boards()}
        assert (boards["a"].state, boards["b"].state) == ("busy", "free")
        assert boards["a"].job.startswith("opclock-")
        assert boards["a"].queue == 0
        assert held.outcome().status == "done"
        boards = {board.name: board for board in farm.boards()}
        assert (boards["a"].state, boards["a"].job) == ("free", "")


def test_a_board_killed_in_the_middle_goes_on_once_it_is_back(small, farm, ledger, monkeypatch):
    monkeypatch.setattr("opclock.farm.session.BOARDS_S", 0.02)
    news = []
    monkeypatch.setattr(farm, "_news", news.append)
    held = Held(farm, ledger)
    small.kill("a")
    wait_until(lambda: news)
    small.begin("a")
    held.wait_for("begin", "on")
    assert held.outcome().status == "done"
    assert news == ["a is gone, its job waits for it", "a is back"]
    assert events(ledger) == ["begin", "on", "end"]


def test_what_a_killed_command_has_stored_is_not_measured_again(small, farm, tmp_path):
    """Its profile lies in the job's folder. Once it is fetched, the same command measures anew."""
    go, outcomes = tmp_path / "go", []
    one = job("rounds", "pool", go)
    thread = threading.Thread(target=lambda: outcomes.append(outcome_of(farm, one)))
    thread.start()
    wait_until(lambda: [path for path in small.store("a").glob("*/middle") if path.read_text()])
    (middle,) = small.store("a").glob("*/middle")
    small.kill("a")
    wait_until(lambda: ended(int(middle.read_text())))  # its profile would still be in use
    go.touch()
    small.begin("a")
    thread.join()
    assert [outcome.result["earlier_rounds"] for outcome in (*outcomes, outcome_of(farm, one))] == [10, 0]


def test_a_job_that_was_lost_goes_on_once_its_board_is_back(small, ledger, monkeypatch):
    """The same command began anew."""
    monkeypatch.setattr("opclock.farm.session.BOARDS_S", 0.02)
    with small.connect(patience_s=0.2) as farm:
        held = Held(farm, ledger)
        small.kill("a")
        assert held.outcome().status == "lost"
        small.begin("a")
        wait_until(lambda: events(ledger)[-1] == "end")
        small.wait_for("a", "b", "late")
        assert outcome_of(farm, job("answer", ledger, "held")).status == "done"
    assert events(ledger) == ["begin", "on", "end"]


def test_a_job_whose_board_has_gone_five_times_still_waits_for_it(small, farm, ledger):
    """After the fourth time it was lost: dask took the job for the cause."""
    held = Held(farm, ledger)
    for times in range(1, 6):
        small.kill("a")
        small.begin("a")
        held.wait_for("begin", *["on"] * times)
    assert held.outcome().status == "done"


def test_a_name_that_a_living_board_has_is_refused(small):
    """It tried again for ever, without a reason."""
    small.begin("second a", name="a")
    assert small.code("second a") == 1
    said = small.log("second a").read_text().splitlines()[-1]
    assert said == f"opclock: the name a is taken at {small.url}: give another --name"
    small.wait_for("a", "b", "late")


def test_a_job_for_equal_boards_goes_to_the_other_one(small, farm, ledger):
    held = Held(farm, ledger, where=EQUAL)
    small.send(held.board, signal.SIGSTOP)
    held.wait_for("begin", "begin")
    outcome = held.outcome()
    small.send(held.board, signal.SIGCONT)
    assert outcome.status == "done"
    assert {held.board, outcome.board} == {"a", "b"}
    small.wait_for("a", "b", "late")  # who was unplugged joins again


def test_a_scheduler_that_is_restarted_loses_no_job(small, farm, ledger):
    held = Held(farm, ledger)
    small.kill("scheduler")
    small.begin("scheduler")
    held.wait_for("begin", "on")
    assert held.outcome().status == "done"
    assert events(ledger) == ["begin", "on", "end"]
    small.wait_for("a", "b", "late")


def test_a_laptop_that_comes_back_takes_its_job_up(small, ledger):
    one = job("answer", ledger, "held")
    with small.connect() as gone:
        gone._give(one)
        wait_until(lambda: lines(ledger))
    with small.connect() as back:
        ledger.with_name("go").touch()
        assert outcome_of(back, one).status == "done"
        assert events(ledger) == ["begin", "end"]
        assert outcome_of(back, one).status == "done"
    assert events(ledger) == ["begin", "end"] * 2  # once fetched, the same command measures again


def test_nothing_runs_for_a_laptop_that_was_interrupted(farm, ledger, monkeypatch):
    def interrupted(_given):
        if lines(ledger):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(farm, "_answer", interrupted)
        with pytest.raises(KeyboardInterrupt) as interruption:
            outcome_of(farm, job("answer", ledger, "held"))
    assert interruption.value.__notes__ == ["the jobs on the boards are cancelled; what has come back is kept"]
    assert outcome_of(farm, job("answer", ledger)).status == "done"
    assert events(ledger) == ["begin", "begin", "end"]


def test_two_users_get_one_board_after_the_other(small, ledger):
    def use(user):
        with small.connect() as farm:
            for _, outcome in farm.run([job("answer", ledger, user, number) for number in range(2)]):
                assert outcome.status == "done"

    users = [threading.Thread(target=use, args=(user,)) for user in range(2)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert events(ledger) == ["begin", "end"] * 4


def test_a_full_disk_is_said_and_passes(small, farm, ledger):
    before = set(small.store("a").iterdir())
    (small.store("a") / "full").touch()
    outcome = outcome_of(farm, job("answer", ledger))
    (small.store("a") / "full").unlink()
    assert (outcome.status, outcome.reason) == (
        "failed", "cannot write on the board: No space left on device; make room on its disk"
    )  # fmt: skip
    assert set(small.store("a").iterdir()) <= before  # what such jobs left kept the disk full
    assert outcome_of(farm, job("answer", ledger)).status == "done"


def test_a_board_that_got_another_torch_is_refused(farm, ledger):
    outcome = outcome_of(farm, job("answer", ledger, versions=(("torch", "2.12.0"),)))
    assert outcome.status == "refused"
    assert "it now has torch 2.13.0 in place of 2.12.0" in outcome.reason
    assert not ledger.exists()


def test_a_job_whose_board_stays_away_is_lost(small, ledger, monkeypatch):
    monkeypatch.setattr("opclock.farm.session.BOARDS_S", 0.1)
    with small.connect(patience_s=0.2) as farm:
        farm_boards = farm.boards
        outcome = replace(outcome_of(farm, job("answer", ledger, where="name:nobody")))
        assert outcome.status == "lost"
        assert "no board for it has been seen" in outcome.reason
        assert farm_boards()


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


def test_a_drained_board_finishes_its_job_and_ends(small, farm, ledger, monkeypatch):
    """Last: the board is gone."""
    held = Held(farm, ledger, where="name:late", versions=())
    assert on_farm(small, monkeypatch, "farm", "drain", "late").returncode == 0
    assert {board.name: board.state for board in farm.boards()}["late"] == "drained"
    assert held.outcome().status == "done"
    assert small.code("late") == 0
    assert events(ledger) == ["begin", "end"]
