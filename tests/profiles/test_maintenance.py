"""Merging and pruning profiles."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import BOARD, INTERLEAVED, add_pool, chain, filled, opclock, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from opclock.errors import ProfileError
from opclock.estimation.estimate import estimate
from opclock.profiles.disturbance import Readings
from opclock.profiles.maintenance import info, merge, prune
from opclock.profiles.profile import Profile


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
                add_pool(profile, keys, np.arange(len(keys)) + number + (0.5 if path == two else 0))
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


@pytest.mark.parametrize("board", [BOARD, replace(BOARD, model="another board")])
def test_a_merge_changes_no_byte_of_its_sources_nor_a_failed_one_of_its_target(tmp_path, board):
    """A source was opened for writing: a log beside it was written into it."""
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    with Profile.create_or_open(one, BOARD) as profile:
        add_pool(profile, ["a"], [1.0])
    with Profile.create_or_open(tmp_path / "written.sqlite", board) as writer:
        add_pool(writer, ["b"], [1.0])
        for end in ("", "-wal"):  # as a killed writer leaves them
            shutil.copy(f"{writer.path}{end}", f"{two}{end}")
    before = [path.read_bytes() for path in (one, two, Path(f"{two}-wal"))]
    done = opclock("profile", "merge", one, two)
    after = [path.read_bytes() for path in (one, two, Path(f"{two}-wal"))]
    assert after[1:] == before[1:]
    assert done.returncode == (0 if board == BOARD else 2), done.stderr
    assert (after[0] == before[0]) == (board != BOARD)


def test_the_size_of_a_profile_includes_its_log(tmp_path):
    path = tmp_path / "one.sqlite"
    with Profile.create_or_open(path, BOARD) as writer:
        add_pool(writer, ["a"], [1.0])
        sizes = [path.with_name(name).stat().st_size for name in ("one.sqlite", "one.sqlite-wal")]
        with Profile.open(path) as profile:
            assert info(profile).nbytes == sum(sizes) > sizes[0]


def test_a_merge_into_no_profile_says_which_comes_first(tmp_path):
    done = opclock("profile", "merge", tmp_path / "new.sqlite", tmp_path / "a b.sqlite")
    refused(done, "there is no profile", "name the profile first that takes in the others", "to begin a new one: cp '")


def test_a_profile_is_not_merged_into_itself(tmp_path):
    """It waited a minute for its own lock."""
    path = tmp_path / "one.sqlite"
    filled(path, chain("relu"), {"relu": 1e-3})
    (tmp_path / "link.sqlite").symlink_to(path)
    with Profile.edit(path) as profile, pytest.raises(ProfileError, match="takes in the others"):
        merge(profile, tmp_path / "link.sqlite")


def test_a_pool_that_went_on_since_the_last_merge_is_merged_again(tmp_path):
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    with Profile.create_or_open(one, BOARD), Profile.create_or_open(two, BOARD) as source:
        pool = add_pool(source, ["a"], [1.0], ended="", rounds=2)
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
            add_pool(profile, ["a", str(path)], [1.0, 2.0])
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
        finished = add_pool(profile, ["a"], [1.0])
        for _ in range(2):
            add_pool(profile, ["a"], [9.0], ended="contended")
            add_pool(profile, ["a"], [9.0], ended="")
        assert profile.measured(INTERLEAVED, ["a"]) == {"a"}
        assert [one.pool for one in profile.pool_matches("interleaved", "cpu", 2, ["a"]) if one.ended] == [finished]


def test_pruning_keeps_what_estimates_use(profile_path):
    with Profile.create_or_open(profile_path, BOARD) as profile:
        add_pool(profile, ["a", "b"], [1.0, 2.0])  # measured anew by the next two together
        add_pool(profile, ["a"], [3.0])
        add_pool(profile, ["b", "c"], [4.0, 5.0])
        add_pool(profile, ["c"], [6.0], ended="")  # not finished: does not count as anew
        add_pool(profile, ["d"], [7.0], rounds=0, ended="")  # nothing was kept of it
        assert info(profile).measurements == 7
        assert info(profile).interrupted == 2
        assert prune(profile) == 2
        assert [keys for keys, *_ in contents(profile)] == [("a",), ("b", "c"), ("c",)]
        assert prune(profile) == 0
        assert info(profile).op_calls == 3


def test_a_merge_of_an_older_profile_does_not_win(tmp_path):
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    with Profile.create_or_open(two, BOARD) as profile:
        add_pool(profile, ["a"], [1.0])  # the older measurement
    with Profile.create_or_open(one, BOARD) as profile:
        add_pool(profile, ["b"], [2.0])
        newer = add_pool(profile, ["a"], [3.0])
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
        assert profile.bytes_between_host(profile.pool(newest).condition, 1)[0][0] == newest
        assert estimate(chain("relu"), profile, threads=2).total_s == wanted
        assert prune(profile) == 1
        assert estimate(chain("relu"), profile, threads=2).total_s == wanted


def test_a_merge_brings_blocks_readings_and_controls(tmp_path):
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    with Profile.create_or_open(one, BOARD) as profile:
        add_pool(profile, ["b"], [2.0])
    with Profile.create_or_open(two, BOARD) as profile:
        pool = add_pool(profile, ["a"], [1.0], ended="")
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
        add_pool(profile, ["a"], [1.0], ended="")
    with Profile.edit(one) as profile:
        merge(profile, two)
        pool = profile.resume_pool(INTERLEAVED, "a")
        profile.add_rounds(pool, np.ones((1, 1)), np.ones(1), None)
        assert profile.pool(pool).rounds == 14


def test_contended_pools_that_stay_are_counted(profile_path):
    """``prune`` kept them without a word, and ``measure`` called their op calls unknown when it timed them again."""
    with Profile.create_or_open(profile_path, BOARD) as profile:
        add_pool(profile, ["a", "b"], [1.0, 2.0], ended="contended")
        add_pool(profile, ["b"], [2.0])
        assert profile.contended(INTERLEAVED, ["a", "b", "c"]) == {"a"}
    done = opclock("profile", "prune", profile_path)
    assert "0 pools removed" in done.stdout
    assert "1 contended pool kept: other programs disturbed" in done.stdout
