"""What the kernel says about other programs: from files, and beside a real busy process."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from opclock.board import contention
from opclock.board.contention import Contention, Counters, OtherPrograms, stalled_s, stolen_s
from opclock.board.system import allowed_cores

READ = Contention.read  # before conftest's stand-in takes its place


@pytest.fixture(autouse=True)
def asked_for_real(monkeypatch):
    monkeypatch.setattr(Contention, "read", READ)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_waits_of_all_threads_add_up(tmp_path):
    write(tmp_path / "proc/self/task/10/schedstat", "5000000 2000000000 7\n")
    write(tmp_path / "proc/self/task/11/schedstat", "5000000 500000000 7\n")
    assert Contention(tmp_path).read().wait_s == pytest.approx(2.5)


def test_what_a_thread_waited_stays_when_it_ends(tmp_path):
    write(tmp_path / "proc/self/task/10/schedstat", "0 2000000000 0")
    write(tmp_path / "proc/self/task/11/schedstat", "0 500000000 0")
    contention = Contention(tmp_path)
    contention.read()
    (tmp_path / "proc/self/task/11/schedstat").write_text("")  # as the kernel answers for a thread that ended
    assert contention.read().wait_s == pytest.approx(2.5)


def test_new_threads_are_found_by_refresh(tmp_path):
    write(tmp_path / "proc/self/task/10/schedstat", "0 2000000000 0")
    contention = Contention(tmp_path)
    write(tmp_path / "proc/self/task/12/schedstat", "0 1000000000 0")
    contention.refresh()
    assert contention.read().wait_s == pytest.approx(3.0)


def test_a_kernel_that_keeps_no_statistics_tells_nothing(tmp_path):
    counters = Contention(tmp_path).read()
    assert math.isnan(counters.wait_s)
    assert math.isnan(counters.steal_s)
    assert counters.cpu_s > 0


def test_stolen_time_is_that_of_the_allowed_cores(tmp_path):
    core = allowed_cores()[0]
    write(
        tmp_path / "proc/stat",
        f"cpu 1 2 3 4 5 6 7 900 0 0\ncpu{core} 1 2 3 4 5 6 7 50 0 0\ncpu9999 0 0 0 0 0 0 0 800 0 0\n",
    )
    assert stolen_s(tmp_path) == pytest.approx(50 / os.sysconf("SC_CLK_TCK"))


def test_what_other_programs_use_is_counted_over_a_moment(tmp_path, monkeypatch):
    """A core of their own for half of it, and a quarter of it in the kernel; this process uses a tenth of a core."""
    core, hertz = allowed_cores()[0], os.sysconf("SC_CLK_TCK")

    def stat(user: int, system: int) -> None:
        others = f"cpu9999 {user} 0 0 0 0 0 0 0 0 0"
        write(tmp_path / "proc/stat", f"cpu{core} {user} 0 {system} 4000 5 6 7 50 0 0\n{others}\n")

    stat(1000, 500)
    monkeypatch.setattr(contention, "time", clock := Mock())
    clock.monotonic.side_effect = [100.0, 100.1, 102.0]
    monkeypatch.setattr(contention.os, "times", Mock(side_effect=[(2.0, 0.5, 0.4, 0.1, 0), (2.1, 0.5, 0.5, 0.1, 0)]))
    clock.sleep.side_effect = lambda _seconds: stat(1000 + hertz, 500 + hertz // 2)
    others = OtherPrograms(tmp_path)
    assert others.cores() == pytest.approx((1.0 + 0.5 - 0.2) / 2.0)
    clock.sleep.assert_called_once_with(pytest.approx(contention.WATCHED_S - 0.1))


def test_cores_of_other_programs_are_counted_without_waiting_where_the_command_took_long(tmp_path, monkeypatch):
    """Loading a model takes longer than that."""
    write(tmp_path / "proc/stat", f"cpu{next(iter(allowed_cores()))} 0 0 0 0 0 0 0 0 0 0\n")
    monkeypatch.setattr(contention, "time", clock := Mock())
    clock.monotonic.side_effect = [100.0, 103.0, 103.0]
    OtherPrograms(tmp_path).cores()
    clock.sleep.assert_called_once_with(0.0)


def test_cores_of_other_programs_are_unknown_without_statistics(tmp_path):
    assert math.isnan(OtherPrograms(tmp_path).cores())


def test_stalled_time_is_that_of_some(tmp_path):
    write(
        tmp_path / "proc/pressure/cpu", "some avg10=1.00 avg60=0.50 avg300=0.10 total=2500000\nfull avg10=0 total=9\n"
    )
    assert stalled_s(tmp_path) == pytest.approx(2.5)
    assert math.isnan(stalled_s(tmp_path / "elsewhere"))


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this kernel keeps no scheduler statistics")
def test_a_busy_process_on_the_same_core_is_seen():
    script = (
        "import os, time\n"
        "from opclock.board.contention import Contention\n"
        "contention = Contention()\n"
        "before, start = contention.read(), time.perf_counter()\n"
        "while contention.read().wait_s - before.wait_s < 0.02 and time.perf_counter() - start < 60:\n"
        "    sum(range(10000))\n"
        "print(contention.read().wait_s - before.wait_s, contention.read().switches - before.switches)\n"
    )
    core = allowed_cores()[0]

    def pin() -> None:
        os.sched_setaffinity(0, {core})

    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=pin)  # noqa: PLW1509
    try:
        time.sleep(0.1)
        done = subprocess.run(
            [sys.executable, "-c", script], preexec_fn=pin, capture_output=True, text=True, check=True, timeout=120
        )
    finally:
        busy.kill()
        busy.wait()
    wait_s, switches = map(float, done.stdout.split())
    assert wait_s >= 0.02
    assert switches > 0


def test_counters_are_in_the_order_of_readings():
    from dataclasses import fields

    from opclock.profiles.disturbance import Readings

    assert Counters._fields == tuple(field.name for field in fields(Readings))
