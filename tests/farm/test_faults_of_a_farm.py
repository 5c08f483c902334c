"""A farm with a real scheduler and real workers, and what breaks in one. The commands of the boards are made up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from dataclasses import replace

import pytest
from helpers import opclock, refused

pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="a board needs Linux"),
    pytest.mark.filterwarnings("default"),  # dask's own
]

from benchmarks.farm.small_farm import SmallFarm, events, job, lines, wait_until  # noqa: E402
from opclock.farm.result import take_profile  # noqa: E402
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
        ("no", 60.0, "done", ""),
    ],
)
def test_a_command_that_fails_leaves_the_board_free(farm, ledger, words, limit_s, status, reason):
    outcome = outcome_of(farm, job(words, limit_s=limit_s))
    assert outcome.status == status
    assert reason in outcome.reason
    assert outcome_of(farm, job("answer", ledger)).status == "done"


def test_a_board_killed_in_the_middle_goes_on_once_it_is_back(small, farm, ledger):
    killer = threading.Thread(target=lambda: (wait_until(lambda: lines(ledger)), small.kill("a"), small.begin("a")))
    killer.start()
    outcome = outcome_of(farm, job("answer", ledger, 0.3))
    killer.join()
    assert outcome.status == "done"
    assert events(ledger) == ["begin", "on", "end"]


def test_a_job_for_equal_boards_goes_to_the_other_one(small, farm, ledger):
    def unplug():
        wait_until(lambda: lines(ledger))
        name = lines(ledger)[0].split()[1]
        small.send(name, signal.SIGSTOP)
        wait_until(lambda: "end" in events(ledger))
        small.send(name, signal.SIGCONT)

    unplugging = threading.Thread(target=unplug)
    unplugging.start()
    outcome = outcome_of(farm, job("answer", ledger, 0.3, where=EQUAL))
    unplugging.join()
    assert outcome.status == "done"
    first, *others = lines(ledger)
    assert {line.split()[1] for line in others if line.startswith("begin")} != {first.split()[1]}
    small.wait_for("a", "b", "late")  # who was unplugged joins again


def test_a_scheduler_that_is_restarted_loses_no_job(small, farm, ledger):
    def restart():
        wait_until(lambda: lines(ledger))
        small.kill("scheduler")
        small.begin("scheduler")

    restarting = threading.Thread(target=restart)
    restarting.start()
    outcome = outcome_of(farm, job("answer", ledger, 0.3))
    restarting.join()
    assert outcome.status == "done"
    assert events(ledger)[-1] == "end"
    small.wait_for("a", "b", "late")


def test_a_laptop_that_comes_back_takes_its_job_up(small, ledger):
    one = job("answer", ledger, 0.3)
    with small.connect() as gone:
        gone._give(one)
        wait_until(lambda: lines(ledger))
    with small.connect() as back:
        assert outcome_of(back, one).status == "done"
        assert events(ledger) == ["begin", "end"]
        assert outcome_of(back, one).status == "done"
    assert events(ledger) == ["begin", "end"] * 2  # once fetched, the same command measures again


def test_nothing_runs_for_a_laptop_that_was_interrupted(small, farm, ledger):
    running = farm.run([job("answer", ledger, 60.0)], lambda *_: None)
    thread = threading.Thread(target=lambda: wait_until(lambda: lines(ledger)))
    thread.start()
    farm._answer, answer = (
        (lambda given: (_ for _ in ()).throw(KeyboardInterrupt) if lines(ledger) else answer(given)),
        farm._answer,
    )
    with pytest.raises(KeyboardInterrupt):
        next(running)
    thread.join()
    farm._answer = answer
    assert outcome_of(farm, job("answer", ledger)).status == "done"
    assert events(ledger) == ["begin", "begin", "end"]


def test_two_users_get_one_board_after_the_other(small, ledger):
    def use(user):
        with small.connect() as farm:
            for _, outcome in farm.run([job("answer", ledger, 0.05, user, number) for number in range(3)]):
                assert outcome.status == "done"

    users = [threading.Thread(target=use, args=(user,)) for user in range(2)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert events(ledger) == ["begin", "end"] * 6


def test_a_full_disk_is_said_and_passes(small, farm, ledger):
    (small.store("a") / "full").touch()
    outcome = outcome_of(farm, job("answer", ledger))
    (small.store("a") / "full").unlink()
    assert (outcome.status, outcome.reason) == (
        "failed", "cannot write on the board: No space left on device; make room on its disk"
    )  # fmt: skip
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
    assert "files: files/0/models/layers.py files/0/models/net.py" in done.stderr


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


def test_the_list_shows_boards_and_their_state(small, farm, monkeypatch):
    wait_until(lambda: not any(board.job for board in farm.boards()))  # a board tells it with its next heartbeat
    done = on_farm(small, monkeypatch, "farm", "list", "--json", "-")
    boards = {board["name"]: board for board in json.loads(done.stdout)["boards"]}
    assert boards["a"]["state"] == "free"
    assert boards["a"]["tags"] == ["first"]
    assert boards["late"]["clock_ahead_s"] == pytest.approx(86_400.0, abs=30.0)


def test_a_drained_board_finishes_its_job_and_ends(small, farm, ledger, monkeypatch):
    """Last: the board is gone."""
    thread = threading.Thread(
        target=lambda: (wait_until(lambda: lines(ledger)), on_farm(small, monkeypatch, "farm", "drain", "late"))
    )
    thread.start()
    one = job("answer", ledger, 0.3, where="name:late", versions=())
    assert outcome_of(farm, one).status == "done"
    thread.join()
    assert small.code("late") == 0
    assert events(ledger) == ["begin", "end"]


def test_a_profile_is_merged_once(tmp_path):
    import hashlib

    from helpers import chain, filled

    from opclock.farm.job import Outcome
    from opclock.profiles.profile import Profile

    filled(tmp_path / "sent.sqlite", chain("relu"), {"relu": 1e-6})
    sent = (tmp_path / "sent.sqlite").read_bytes()
    outcome = Outcome("a", "done", profile=sent, profile_sha256=hashlib.sha256(sent).hexdigest())
    for _ in range(2):
        take_profile(outcome, tmp_path / "mine.sqlite")
    with Profile.open(tmp_path / "mine.sqlite") as profile:
        assert profile.ask("SELECT count(*) FROM pool") == [(1,)]
    from opclock.errors import ProfileError

    with pytest.raises(ProfileError, match="did not arrive whole"):
        take_profile(replace(outcome, profile=sent[:-1]), tmp_path / "mine.sqlite")


def certificate(folder):
    folder.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", folder / "key.pem",
         "-out", folder / "cert.pem"], check=True, capture_output=True,
    )  # fmt: skip
    return folder


def test_who_lacks_the_certificate_is_refused(tmp_path):
    import asyncio
    import shutil

    from distributed import Scheduler
    from distributed.core import connect

    from opclock.farm.address import Address, security_of

    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    ours, theirs = certificate(tmp_path / "ours"), certificate(tmp_path / "theirs")

    async def attempts():
        security = security_of(ours)
        async with Scheduler(host="127.0.0.1", port=0, protocol="tls", security=security, dashboard=False,
                             dashboard_address="127.0.0.1:0") as scheduler:  # fmt: skip
            for url, one in (
                (scheduler.address, security_of(theirs)),
                (scheduler.address.replace("tls", "tcp"), Address.of(None).security),
            ):
                with pytest.raises(OSError):  # noqa: PT011, PT012 - of several kinds
                    comm = await connect(url, timeout=0.5, **one.get_connection_args("worker"))
                    await asyncio.wait_for(comm.read(), 0.5)
            comm = await connect(scheduler.address, timeout=5, **security.get_connection_args("worker"))
            await comm.close()

    asyncio.run(attempts())


def test_a_scheduler_that_others_reach_needs_a_certificate(tmp_path):
    refused(opclock("farm", "start", "--host", "0.0.0.0"), "--tls FOLDER", "--insecure")
    refused(opclock("farm", "start", "--host", "0.0.0.0", "--tls", tmp_path), "cert.pem", "openssl req")
    refused(opclock("farm", "join", "ftp://x"), "tcp://HOST")
