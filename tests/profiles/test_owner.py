"""A running pool and an interrupted one are told apart."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from opclock.profiles import owner
from opclock.profiles.owner import STALE_S, is_running, this_process


def proc(root, boot, start):
    """A folder like /proc in which this process's PID belongs to a process that started then; None: to nobody."""
    (root / "sys/kernel/random").mkdir(parents=True)
    (root / "sys/kernel/random/boot_id").write_text(f"{boot}\n")
    (root / "self/ns").mkdir(parents=True)
    (root / "self/ns/pid").touch()
    if start is not None:
        (root / str(os.getpid())).mkdir()
        words = ["R", *(str(number) for number in range(4, 22)), str(start), "0"]
        (root / str(os.getpid()) / "stat").write_text(f"{os.getpid()} (a name) with) {' '.join(words)}\n")
    return root


@pytest.fixture
def living():
    """A living process, and its name as an owner."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from opclock.profiles.owner import this_process as me; print(me()); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


def test_a_pool_of_a_living_process_runs(living):
    process, name = living
    assert is_running(name, time.time())
    process.kill()
    process.wait()
    assert not is_running(name, time.time())


def test_a_process_that_has_ended_but_is_still_listed_does_not_run(living):
    """A command whose board was killed is listed until the system's first process asks how it ended."""
    process, name = living
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_running(name, time.time())


def test_a_living_process_that_stores_nothing_for_minutes_was_interrupted(living):
    assert not is_running(living[1], time.time() - STALE_S - 1)


def test_own_and_unowned_pools_were_interrupted():
    assert not is_running(this_process(), time.time())
    assert not is_running("", time.time())


def test_a_pid_that_was_used_again_is_another_process(tmp_path, monkeypatch):
    monkeypatch.setattr(owner, "PROC", proc(tmp_path, "boot", 500))
    earlier = this_process()
    assert earlier.endswith(f":{os.getpid()}:500")
    stat = tmp_path / str(os.getpid()) / "stat"
    stat.write_text(stat.read_text().replace(" 500 ", " 900 "))
    assert this_process().endswith(":900")
    assert not is_running(earlier, time.time())


def test_on_another_host_only_the_heartbeat_tells(tmp_path, monkeypatch):
    monkeypatch.setattr(owner, "PROC", proc(tmp_path / "there", "there", 500))
    elsewhere = this_process()
    monkeypatch.setattr(owner, "PROC", proc(tmp_path / "here", "here", None))
    assert is_running(elsewhere, time.time() - 60)
    assert not is_running(elsewhere, time.time() - STALE_S - 1)
    assert not is_running(elsewhere, time.time() + STALE_S + 60)  # a clock that was wrong


def test_without_proc_the_heartbeat_tells(tmp_path, monkeypatch):
    monkeypatch.setattr(owner, "PROC", tmp_path)
    space, pid, start = this_process().rsplit(":", 2)
    assert (int(pid), start) == (os.getpid(), "")
    assert not is_running(this_process(), time.time())
    assert is_running(f"{space}:{os.getpid() + 1}:", time.time())


def test_a_second_measure_of_one_model_sees_the_first(tmp_path, monkeypatch):
    from helpers import BOARD, chain, filled

    from opclock.profiles.profile import Profile

    trace = chain("tanh")
    filled(tmp_path / "p.sqlite", trace, {"tanh": 1e-5})
    keys = [call.call.key for call in trace.calls]
    with Profile.create_or_open(tmp_path / "p.sqlite", BOARD) as profile:
        assert profile.measured_elsewhere(keys) is None
        with profile.changing() as connection:
            connection.execute(
                "UPDATE pool SET ended = '', owner = ?, heartbeat = ?", (f"elsewhere:{os.getpid() + 1}:", time.time())
            )
        other = profile.measured_elsewhere(keys)
        assert other is not None
        assert other[0] == os.getpid() + 1
        assert profile.measured_elsewhere(["another op call"]) is None
