"""Migrating, merging, pruning and comparing profiles."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import BOARD, chain, filled
from hypothesis import given, settings
from hypothesis import strategies as st

from opclock.errors import ProfileError
from opclock.estimation.estimate import estimate
from opclock.profiles.comparison import compare
from opclock.profiles.condition import Condition
from opclock.profiles.disturbance import Readings
from opclock.profiles.maintenance import info, merge, prune
from opclock.profiles.pool import Measurement
from opclock.profiles.profile import Profile
from opclock.profiles.schema import SCHEMA_VERSION

CONDITION = Condition("interleaved", "cpu", 2, 20)

OLD_TABLES = """
CREATE TABLE board (id INTEGER PRIMARY KEY CHECK (id = 1), identity TEXT NOT NULL, facts TEXT NOT NULL);
CREATE TABLE op_call (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE host (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kinds TEXT NOT NULL);
CREATE TABLE pool (id INTEGER PRIMARY KEY, signature TEXT NOT NULL, timing TEXT NOT NULL, device TEXT NOT NULL,
  threads INTEGER NOT NULL, working_set INTEGER NOT NULL, host INTEGER REFERENCES host (id), started REAL NOT NULL,
  context TEXT NOT NULL, ended TEXT NOT NULL DEFAULT '');
CREATE TABLE member (pool INTEGER NOT NULL REFERENCES pool (id), position INTEGER NOT NULL,
  op_call INTEGER NOT NULL REFERENCES op_call (id), calls_per_sample INTEGER NOT NULL, reason TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (pool, position)) WITHOUT ROWID;
CREATE TABLE round (pool INTEGER NOT NULL REFERENCES pool (id), number INTEGER NOT NULL, seconds BLOB NOT NULL,
  anchor_s REAL NOT NULL, host BLOB, PRIMARY KEY (pool, number)) WITHOUT ROWID;
CREATE TABLE ceiling (name TEXT NOT NULL, bytes INTEGER NOT NULL, threads INTEGER NOT NULL, rate REAL NOT NULL,
  PRIMARY KEY (name, bytes, threads)) WITHOUT ROWID;
"""


def make_old(path, traced):
    """The same profile as `filled` makes, as schema 1 had it."""
    filled(path, traced, {"relu": 1e-3, "tanh": 2e-3})
    with sqlite3.connect(path) as new:
        rows = {
            "board": new.execute("SELECT * FROM board").fetchall(),
            "op_call": new.execute("SELECT id, key FROM op_call").fetchall(),
            "host": new.execute("SELECT * FROM host").fetchall(),
            "pool": new.execute("SELECT p.id, signature, timing, device, threads, working_set, host, started, context, "
                                "ended FROM pool p JOIN condition c ON c.id = p.condition").fetchall(),
            "member": new.execute("SELECT pool, position, op_call, calls_per_sample, reason FROM member").fetchall(),
            "round": new.execute("SELECT pool, number, seconds, anchor_s, host FROM round").fetchall(),
        }  # fmt: skip
        application = new.execute("PRAGMA application_id").fetchone()[0]
    new.close()
    path.unlink()
    old = sqlite3.connect(path)
    with old:
        old.executescript(OLD_TABLES)
        old.execute(f"PRAGMA application_id = {application}")
        old.execute("PRAGMA user_version = 1")
        for table, values in rows.items():
            old.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(values[0]))})", values)
    old.close()


def test_an_older_profile_is_read_as_it_is_and_written_as_a_new_one(profile_path):
    traced = chain("relu", "tanh")
    filled(profile_path, traced, {"relu": 1e-3, "tanh": 2e-3})
    with Profile.open(profile_path) as profile:
        wanted = estimate(traced, profile, threads=2).total_s
    profile_path.unlink()
    make_old(profile_path, traced)
    before = profile_path.read_bytes()
    with Profile.open(profile_path) as profile:
        assert estimate(traced, profile, threads=2).total_s == wanted
    assert profile_path.read_bytes() == before
    with Profile.create_or_open(profile_path, BOARD) as profile:
        assert estimate(traced, profile, threads=2).total_s == wanted
        assert profile.ask("PRAGMA user_version") == [(SCHEMA_VERSION,)]
        assert profile.ask("PRAGMA integrity_check") == [("ok",)]
        assert profile.ask("PRAGMA foreign_key_check") == []


def test_another_boards_older_profile_stays_older(profile_path):
    make_old(profile_path, chain("relu"))
    with pytest.raises(ProfileError, match="another board"):
        Profile.create_or_open(profile_path, replace(BOARD, torch="2.6.0"))
    with sqlite3.connect(profile_path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 1
    connection.close()


def add(profile, keys, seconds, *, ended="settled", rounds=13):
    pool = profile.start_pool(CONDITION, keys, [1] * len(keys), signature="+".join(keys))
    if rounds:
        profile.add_rounds(pool, np.tile(seconds, (rounds, 1)), np.ones(rounds), None)
    if ended:
        profile.end_pool(pool, ended, ["narrow"] * len(keys), {})
    return pool


def contents(profile):
    """What a profile knows, whatever its numbers are."""
    pools = [profile.pool(number) for number in profile.pools(["interleaved", "in_model"], "cpu", 2)]
    return sorted(
        (pool.keys, pool.condition.timing, pool.ended, pool.seconds.tobytes(), pool.host_key) for pool in pools
    )


def pools_of(profile):
    return [profile.pool(number).seconds for number in profile.pools(["interleaved"], "cpu", 2)]


@settings(max_examples=25, deadline=None)  # each writes two profiles, and waits for the disk
@given(
    first=st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True), max_size=3),
    second=st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True), max_size=3),
)
def test_a_merge_has_everything_of_both_and_twice_is_once(tmp_path_factory, first, second):
    folder = tmp_path_factory.mktemp("merge")
    one, two = folder / "one.sqlite", folder / "two.sqlite"
    for path, pools in ((one, first), (two, second)):
        with Profile.create_or_open(path, BOARD) as profile:
            for number, keys in enumerate(pools):
                add(profile, keys, np.arange(len(keys)) + number + (0.5 if path == two else 0))
                profile.name_configurations([("relu", f'{{"key":"{keys[0]}"}}', keys[0])])
            for rate in (4.0, 5.0) if path == two else (3.0, 6.0):
                profile.add_ceiling("loads_per_s", 1, 2, rate)
    with Profile.open(one) as a, Profile.open(two) as b:
        wanted = sorted([*contents(a), *contents(b)])
    with Profile.edit(one) as profile:
        assert merge(profile, two) == len(second)
        assert contents(profile) == wanted
        assert merge(profile, two) == 0
        assert contents(profile) == wanted
        assert profile.ceiling("loads_per_s", 1, 2) == 5.0
        assert profile.ask("PRAGMA foreign_key_check") == []


def test_a_host_is_merged_with_its_pool(tmp_path):
    traced = chain("relu", "tanh")
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    with Profile.create_or_open(one, BOARD) as profile:
        add(profile, ["a"], [1.0])
    make_old(two, traced)
    with Profile.edit(one) as profile:
        assert merge(profile, two) == 1
        assert estimate(traced, profile, threads=2).coverage.measured == 1


def test_a_pool_that_went_on_since_the_last_merge_is_merged_again(tmp_path):
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    with Profile.create_or_open(one, BOARD), Profile.create_or_open(two, BOARD) as source:
        pool = add(source, ["a"], [1.0], ended="", rounds=2)
    with Profile.edit(one) as profile:
        assert merge(profile, two) == 1
        assert merge(profile, two) == 0
        with Profile.edit(two) as source:
            source.add_rounds(pool, np.full((3, 1), 1.0), np.ones(3), None)
        assert merge(profile, two) == 1
        assert [one.shape for one in pools_of(profile)] == [(5, 1)]
        with Profile.edit(two) as source:
            source.end_pool(pool, "settled", ["narrow"], {})
        assert merge(profile, two) == 1
        assert [ended for _, _, ended, *_ in contents(profile)] == ["settled"]
        assert merge(profile, two) == 0
        assert profile.ask("PRAGMA foreign_key_check") == []


def test_two_boards_are_never_mixed(tmp_path):
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    filled(one, chain("relu"), {"relu": 1e-3})
    filled(two, chain("relu"), {"relu": 1e-3}, board=replace(BOARD, model="another"))
    with Profile.edit(one) as profile:
        before = contents(profile)
        with pytest.raises(ProfileError, match=r"another board.*compare"):
            merge(profile, two)
        assert contents(profile) == before


def test_an_interrupted_merge_leaves_nothing_behind(tmp_path):
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    for path in (one, two):
        with Profile.create_or_open(path, BOARD) as profile:
            add(profile, ["a", str(path)], [1.0, 2.0])
    with sqlite3.connect(two) as connection:
        connection.execute("ALTER TABLE ceiling RENAME TO broken")
    connection.close()
    with Profile.edit(one) as profile:
        before = contents(profile)
        with pytest.raises(ProfileError):
            merge(profile, two)
        assert contents(profile) == before


def test_unfinished_pools_do_not_hide_a_finished_one(profile_path):
    with Profile.create_or_open(profile_path, BOARD) as profile:
        finished = add(profile, ["a"], [1.0])
        for _ in range(2):
            add(profile, ["a"], [9.0], ended="contended")
            add(profile, ["a"], [9.0], ended="")
        assert profile.measured(CONDITION, ["a"]) == {"a"}
        assert [one.pool for one in profile.pool_matches("interleaved", "cpu", 2, ["a"]) if one.ended] == [finished]


def test_pruning_keeps_what_estimates_use(profile_path):
    with Profile.create_or_open(profile_path, BOARD) as profile:
        add(profile, ["a", "b"], [1.0, 2.0])  # measured anew by the next two together
        add(profile, ["a"], [3.0])
        add(profile, ["b", "c"], [4.0, 5.0])
        add(profile, ["c"], [6.0], ended="")  # not finished: does not count as anew
        add(profile, ["d"], [7.0], rounds=0, ended="")  # nothing was kept of it
        assert info(profile).measurements == 7
        assert info(profile).interrupted == 2
        assert prune(profile) == 2
        assert [keys for keys, *_ in contents(profile)] == [("a",), ("b", "c"), ("c",)]
        assert prune(profile) == 0
        assert info(profile).op_calls == 3


def test_a_merge_of_an_older_profile_does_not_win(tmp_path):
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    with Profile.create_or_open(two, BOARD) as profile:
        add(profile, ["a"], [1.0])  # the older measurement
    with Profile.create_or_open(one, BOARD) as profile:
        add(profile, ["b"], [2.0])
        newer = add(profile, ["a"], [3.0])
        assert merge(profile, two) == 1
        older = next(
            number for number in profile.pools(["interleaved"], "cpu", 2) if profile.pool(number).seconds[0] == 1
        )
        assert older > newer
        assert [one.pool for one in profile.pool_matches("interleaved", "cpu", 2, ["a"])] == [older, newer]
        assert profile.pools(["interleaved"], "cpu", 2)[-1] == older
        assert prune(profile) == 1
        assert [keys for keys, *_ in contents(profile)] == [("a",), ("b",)]
        assert profile.pool(newer).seconds[0] == 3.0


def test_the_host_of_a_merged_older_profile_does_not_win(tmp_path):
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    for path, host_s in ((two, 1e-3), (one, 2e-3)):
        filled(path, chain("relu"), {"relu": 1e-3}, host_s=host_s)
    with Profile.edit(one) as profile:
        newest = profile.pools(["in_model"], "cpu", 2)[0]
        wanted = estimate(chain("relu"), profile, threads=2).total_s
        assert merge(profile, two) == 1
        assert profile.pools_with_host(profile.pool(newest).condition, None, 1) == [newest]
        assert estimate(chain("relu"), profile, threads=2).total_s == wanted
        assert prune(profile) == 1
        assert estimate(chain("relu"), profile, threads=2).total_s == wanted


def test_a_merge_brings_blocks_readings_and_controls(tmp_path):
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    with Profile.create_or_open(one, BOARD) as profile:
        add(profile, ["b"], [2.0])
    with Profile.create_or_open(two, BOARD) as profile:
        pool = add(profile, ["a"], [1.0], ended="")
        readings = Readings.unknown(8)
        readings.switches[:2] = 1
        profile.add_rounds(pool, np.ones((8, 1)), np.ones(8), None, readings, controls={"product": 0.5})
        profile.end_pool(pool, "settled", ["narrow"], {})
        wanted = profile.pool(pool)
    with Profile.edit(one) as profile:
        merge(profile, two)
        (came,) = [one.pool for one in profile.pool_matches("interleaved", "cpu", 2, ["a"])]
        pool = profile.pool(came)
    assert (pool.rounds, pool.disturbed, pool.contended) == (wanted.rounds, 2, False) == (21, 2, False)
    np.testing.assert_array_equal(pool.blocks, wanted.blocks)
    np.testing.assert_array_equal(pool.controls["product"], [np.nan, 0.5])


def test_a_merged_pool_is_nobodys_and_goes_on(tmp_path):
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    with Profile.create_or_open(one, BOARD), Profile.create_or_open(two, BOARD) as profile:
        add(profile, ["a"], [1.0], ended="")
    with Profile.edit(one) as profile:
        merge(profile, two)
        pool = profile.resume_pool(CONDITION, "a")
        profile.add_rounds(pool, np.ones((1, 1)), np.ones(1), None)
        assert profile.pool(pool).rounds == 14


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
        mine = add(profile, ["b"], [1.0])
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
        assert profile.resume_pool(CONDITION, "a") is None
        other.kill()
        other.wait()
        assert profile.resume_pool(CONDITION, "a") == other.pool


def test_the_number_of_a_removed_pool_is_never_used_again(profile_path):
    with Profile.create_or_open(profile_path, BOARD) as profile:
        removed = add(profile, ["a"], [1.0], rounds=0, ended="")
        assert prune(profile) == 1
        assert add(profile, ["b"], [1.0]) > removed
        with pytest.raises(ProfileError, match="no longer this process's"):
            profile.add_rounds(removed, np.ones((1, 1)), np.ones(1), None)
        with pytest.raises(ProfileError, match="no longer this process's"):
            profile.end_pool(removed, "settled", ["narrow"], {})


def test_rounds_of_no_pool_are_refused_by_the_database(profile_path):
    with Profile.create_or_open(profile_path, BOARD) as profile:
        with pytest.raises(ProfileError, match="FOREIGN KEY"), profile.changing() as connection:
            connection.execute("INSERT INTO round (pool, number, seconds, anchor_s) VALUES (9, 0, x'', 0)")


def measurement(samples):
    return Measurement("k", CONDITION, np.array(samples, dtype=float), np.ones(len(samples)), 1, "narrow")


def test_a_comparison_of_two_profiles(tmp_path):
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    filled(one, chain("relu", "tanh"), {"relu": 1e-3, "tanh": 1e-3}, noise=0.001)
    filled(two, chain("relu", "tanh"), {"relu": 1e-3, "tanh": 2e-3}, noise=0.001, board=replace(BOARD, model="another"))
    with Profile.open(one) as first, Profile.open(two) as second:
        table = compare(first, second)
    assert sorted(table["verdict"]) == ["same", "slower"]
    filled(tmp_path / "three.sqlite", chain("gelu"), {"gelu": 1e-3})
    with Profile.open(one) as first, Profile.open(tmp_path / "three.sqlite") as third:
        with pytest.raises(ProfileError, match="no op call in common"):
            compare(first, third)
