"""A measuring process may die at any moment: the profile stays whole and measuring goes on."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

import pytest
from helpers import INTERRUPTIBLE, opclock

from opclock.errors import ProfileError
from opclock.profiles.profile import Profile

MODEL = """
import torch
def factory():
    return torch.nn.Sequential(*[torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU()) for _ in range(4)]), (
        torch.randn(8, 64),)
"""
KILLS = 3  # benchmarks.kill does twenty


def rounds_in(path):
    """The rounds that the profile holds: 0 as well where its tables are just being made."""
    if not path.exists():
        return 0
    try:
        with Profile.open(path) as profile:
            return sum(profile.pool(pool).rounds for pool in profile.pools(["in_model"], "cpu", 1))
    except ProfileError:
        return 0


def wait_for_rounds(process, path, more_than):
    deadline = time.monotonic() + 120
    while rounds_in(path) <= more_than and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.usefixtures("short_sampling")
def test_sigkill_at_random_moments(tmp_path, profile_path):
    (tmp_path / "m.py").write_text(MODEL)
    command = [sys.executable, "-m", "opclock", "measure", f"{tmp_path}/m.py:factory", "--threads", "1", "--profile",
               str(profile_path)]  # fmt: skip
    choose = random.Random(1)
    kept = 0
    for _ in range(KILLS):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for_rounds(process, profile_path, kept)
        time.sleep(choose.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        assert process.wait() in (-signal.SIGKILL, 0)
        with Profile.open(profile_path) as profile:
            rounds = sum(profile.pool(pool).rounds for pool in profile.pools(["in_model"], "cpu", 1))
        assert rounds >= kept
        kept = rounds
    assert kept > 0
    done = opclock(*command[3:])
    assert "kept in" in done.stdout
    with Profile.open(profile_path) as profile:
        pools = [profile.pool(pool) for pool in profile.pools(["in_model"], "cpu", 1)]
    assert all(pool.ended for pool in pools)
    assert sum(pool.rounds for pool in pools) >= kept


def test_ctrl_c_keeps_the_rounds_and_says_so(tmp_path, profile_path):
    (tmp_path / "m.py").write_text(MODEL)
    command = [*INTERRUPTIBLE, "measure", f"{tmp_path}/m.py:factory", "--threads", "1", "--profile", str(profile_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    wait_for_rounds(process, profile_path, 0)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "goes on" in errors
    with Profile.open(profile_path) as profile:
        assert profile.pools(["in_model"], "cpu", 1)
