"""A farm with a real scheduler and real workers, and what breaks in one. The commands of the boards are made up."""

from __future__ import annotations

import logging
import os
import signal
import threading
from dataclasses import replace

import psutil
import pytest

pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="a board needs Linux"),
    pytest.mark.filterwarnings("default"),  # dask's own
    pytest.mark.usefixtures("impatient"),
]

from held_job import Held, outcome_of  # noqa: E402

from benchmarks.farm.small_farm import events, job, lines, wait_until  # noqa: E402
from opclock.farm.running import OUTCOME, Runner  # noqa: E402
from opclock.farm.worker import equal_boards  # noqa: E402

EQUAL = equal_boards("a board")


def test_each_board_runs_its_job_on_its_cores(farm, ledger):
    jobs = [job("answer", ledger, where=f"name:{name}") for name in ("a", "b")]
    outcomes = {given.where: outcome for given, outcome in farm.run(jobs)}
    cores = sorted(os.sched_getaffinity(0))
    assert [outcome.status for outcome in outcomes.values()] == ["done", "done"]
    assert outcomes["name:a"].result["cores"] == cores[:1]
    assert outcomes["name:b"].result["cores"] == cores[-1:]
    assert outcomes["name:b"].text == "answered\n"


@pytest.mark.parametrize("name", ["scheduler", "a"])
def test_a_farm_on_this_machine_listens_to_no_other(small, name):
    """Boards listened at all addresses: who reached one ran programs there."""
    opened = psutil.Process(small.pid(name)).net_connections(kind="inet")
    listening = [one.laddr.ip for one in opened if one.status == psutil.CONN_LISTEN]
    assert listening
    assert {*listening} <= {"127.0.0.1", "::1"}


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


def test_dask_logs_nothing(farm):
    """distributed.client has a level of its own: a restart of the scheduler was logged into the progress line."""
    loggers = [name for name in logging.root.manager.loggerDict if name.startswith(("distributed.", "tornado."))]
    assert "distributed.client" in loggers
    assert not [name for name in loggers if logging.getLogger(name).isEnabledFor(logging.ERROR)]


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


def interrupt(farm, one, monkeypatch, when):
    """Give a job and press Ctrl-C. Returns what is said."""

    def interrupted(_given):
        if when():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(farm, "_answer", interrupted)
        with pytest.raises(KeyboardInterrupt) as interruption:
            outcome_of(farm, one)
    return interruption.value.__notes__


def test_nothing_runs_for_a_laptop_that_was_interrupted(farm, ledger, monkeypatch):
    said = interrupt(farm, job("answer", ledger, "held"), monkeypatch, lambda: lines(ledger))
    assert said == ["1 job cancelled: for a day, the same command goes on with what the boards have stored"]
    assert outcome_of(farm, job("answer", ledger)).status == "done"
    assert events(ledger) == ["begin", "begin", "end"]


def test_the_same_command_goes_on_where_an_interrupted_one_stopped(small, farm, tmp_path, monkeypatch):
    """It began anew, in another folder, and what was measured was lost. Once its answer is fetched, it begins anew."""
    go = tmp_path / "go"
    one = job("rounds", "interrupted", go)
    before = set(small.store("a").iterdir())
    interrupt(farm, one, monkeypatch, lambda: [path for path in small.store("a").glob("*/middle")
                                               if path.parent not in before and path.read_text()])  # fmt: skip
    (left,) = set(small.store("a").iterdir()) - before
    wait_until(lambda: ended(int((left / "middle").read_text())))
    go.touch()
    assert [outcome_of(farm, one).result["earlier_rounds"] for _ in range(2)] == [10, 0]
    assert not left.exists()


def test_what_was_interrupted_is_taken_up_for_a_day(tmp_path):
    runner, given = Runner("a", tmp_path, ()), job("measure").with_id(100_000.0)
    folders = [tmp_path / job("measure").with_id(moment).id for moment in (20_000.0, 13_000.0)]
    (tmp_path / job("sweep").with_id(99_000.0).id).mkdir()
    for folder in folders:
        folder.mkdir()
    assert runner._left(given) == folders[0]
    assert runner._left(job("measure").with_id(20_000.0 + 86_401.0)) is None
    (folders[0] / OUTCOME).touch()
    assert runner._left(given) is None


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
