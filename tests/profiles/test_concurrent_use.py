"""Several processes or threads use one profile."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers import BOARD, INTERLEAVED, add_pool, chain, filled

from opclock.errors import ProfileError
from opclock.profiles.maintenance import info, prune
from opclock.profiles.profile import Profile

OTHER = """
import sys
import numpy as np
from helpers import BOARD
from opclock.profiles.condition import Condition
from opclock.profiles.disturbance import Readings
from opclock.profiles.profile import Profile

with Profile.create_or_open(sys.argv[1], BOARD) as profile:
    pool = profile.start_pool(Condition("interleaved", "cpu", 2, 20), ["a"], [1], signature="a")
    print(pool, flush=True)
    for _ in sys.stdin:
        profile.add_rounds(pool, np.ones((1, 1)), np.ones(1), None)
        print("stored", flush=True)
    profile.end_pool(pool, "settled", ["narrow"], {})
"""


@pytest.fixture
def other(profile_path):
    """Another process that has started a pool and waits: a line makes it store a round, the end makes it end."""
    process = subprocess.Popen([sys.executable, "-c", OTHER, str(profile_path)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])  # fmt: skip
    process.pool = int(process.stdout.readline())
    yield process
    process.kill()
    process.communicate()


def test_prune_leaves_a_pool_that_another_process_has_just_started(profile_path, other):
    with Profile.create_or_open(profile_path, BOARD) as profile:
        assert (info(profile).interrupted, info(profile).running) == (0, 1)
        assert prune(profile) == 0
        mine = add_pool(profile, ["b"], [1.0])
        assert mine != other.pool
    other.communicate("\n")
    assert other.returncode == 0
    with Profile.open(profile_path) as profile:
        assert profile.pool(other.pool).keys == ("a",)
        assert profile.pool(other.pool).ended == "settled"


def test_two_measurements_at_once_do_not_share_a_pool(profile_path, other):
    other.stdin.write("\n")
    other.stdin.flush()
    assert other.stdout.readline() == "stored\n"
    with Profile.create_or_open(profile_path, BOARD) as profile:
        assert profile.resume_pool(INTERLEAVED, "a") is None
        other.kill()
        other.wait()
        assert profile.resume_pool(INTERLEAVED, "a") == other.pool


def test_the_number_of_a_removed_pool_is_never_used_again(profile_path):
    with Profile.create_or_open(profile_path, BOARD) as profile:
        removed = add_pool(profile, ["a"], [1.0], rounds=0, ended="")
        assert prune(profile) == 1
        assert add_pool(profile, ["b"], [1.0]) > removed
        with pytest.raises(ProfileError, match="no longer this process's"):
            profile.add_rounds(removed, np.ones((1, 1)), np.ones(1), None)
        with pytest.raises(ProfileError, match="no longer this process's"):
            profile.end_pool(removed, "settled", ["narrow"], {})


def test_rounds_of_no_pool_are_refused_by_the_database(profile_path):
    with Profile.create_or_open(profile_path, BOARD) as profile:
        with pytest.raises(ProfileError, match="FOREIGN KEY"), profile.changing() as connection:
            connection.execute("INSERT INTO round (pool, number, seconds, anchor_s) VALUES (9, 0, x'', 0)")


def test_a_profile_of_another_thread_says_so(profile_path):
    """It was SQLite's own error."""
    with Profile.create_or_open(profile_path, BOARD) as profile, ThreadPoolExecutor(1) as pool:
        with pytest.raises(ProfileError, match="another thread"):
            pool.submit(profile.conditions).result()


def test_a_reader_that_ends_while_the_writer_closes_leaves_no_half_copy(profile_path):
    """The header went on to say that there is a log, and SQLite had removed it: the profile was refused for good."""
    filled(profile_path, chain("relu"), {"relu": 1e-3})
    writer = Profile.create_or_open(profile_path, BOARD)
    writer.add_ceiling("copy", 0, 1, 1.0)
    reader = sqlite3.connect(f"{profile_path.as_uri()}?mode=ro", uri=True, check_same_thread=False)
    reader.execute("SELECT count(*) FROM ceiling").fetchall()
    ends = threading.Timer(0.1, reader.close)
    ends.start()
    writer.close()
    ends.join()
    assert not profile_path.with_name(f"{profile_path.name}-wal").exists()
    with Profile.open(profile_path) as profile:
        assert profile.ask("SELECT count(*) FROM ceiling") == [(1,)]
