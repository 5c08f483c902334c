from __future__ import annotations

import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import BOARD, chain, filled
from hypothesis import given, settings
from hypothesis import strategies as st

from opclock.errors import ProfileError
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile

numbers = st.floats(0, 1e3, allow_nan=False)
CONDITION = Condition("in_model", "cpu", 2, 20)


@settings(max_examples=25)
@given(
    keys=st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1), min_size=1, max_size=6),
    rounds=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5),
    hosts=st.integers(0, 4),
)
def test_what_is_stored_is_read_back(keys, rounds, hosts):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "board.sqlite"
        kinds = [f"kind{i}" for i in range(hosts)]
        with Profile.create_or_open(path, BOARD) as profile:
            pool = profile.start_pool(CONDITION, keys, range(1, len(keys) + 1), signature="s",
                                      host=("h", kinds) if hosts else None)  # fmt: skip
            for value, control_s in rounds:
                host_s = np.full((1, hosts), value) if hosts else None
                profile.add_rounds(pool, value + np.arange(len(keys))[None], np.array([control_s]), host_s)
            profile.end_pool(pool, "settled", ["narrow"] * len(keys), {"after": 1})
        with Profile.open(path) as profile:
            read = profile.pool(pool)
        assert read.keys == tuple(keys)
        assert read.calls_per_sample == tuple(range(1, len(keys) + 1))
        assert read.ended == "settled"
        assert read.reasons == ("narrow",) * len(keys)
        assert read.host_kinds == tuple(kinds)
        np.testing.assert_array_equal(read.control_s, [control_s for _, control_s in rounds])
        for number, (value, _) in enumerate(rounds):
            np.testing.assert_array_equal(read.seconds[number], value + np.arange(len(keys)))
        assert read.measurement(keys[0]).samples.size == len(rounds) * keys.count(keys[0])


def test_closed_profile_is_one_file(profile_path):
    filled(profile_path, chain("relu"), {"relu": 1e-3})
    assert [path.name for path in profile_path.parent.iterdir()] == [profile_path.name]


@pytest.mark.parametrize(
    "content", [b"not a database at all, only some text\n" * 50, b"\0" * 4096, b"SQLite format 3\0"]
)
def test_foreign_file_is_refused_and_untouched(profile_path, content):
    profile_path.write_bytes(content)
    for opening in (lambda: Profile.open(profile_path), lambda: Profile.create_or_open(profile_path, BOARD)):
        with pytest.raises(ProfileError, match=str(profile_path)):
            opening().close()
    assert profile_path.read_bytes() == content


def test_other_database_is_refused(profile_path):
    with sqlite3.connect(profile_path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = profile_path.read_bytes()
    with pytest.raises(ProfileError, match="no opclock profile"):
        Profile.create_or_open(profile_path, BOARD)
    assert profile_path.read_bytes() == before


def test_newer_profile_is_refused_and_untouched(profile_path):
    filled(profile_path, chain("relu"), {"relu": 1e-3})
    connection = sqlite3.connect(profile_path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = profile_path.read_bytes()
    for opening in (lambda: Profile.open(profile_path), lambda: Profile.create_or_open(profile_path, BOARD)):
        with pytest.raises(ProfileError, match=r"newer opclock.*upgrade"):
            opening()
    assert profile_path.read_bytes() == before


def test_damaged_profile_is_refused_and_untouched(profile_path):
    filled(profile_path, chain("relu", "tanh"), {"relu": 1e-3, "tanh": 1e-3}, rounds=200)
    whole = profile_path.read_bytes()
    damaged = whole[: len(whole) // 2]
    profile_path.write_bytes(damaged)
    with pytest.raises(ProfileError, match="damaged"):
        Profile.open(profile_path)
    assert profile_path.read_bytes() == damaged


def test_other_board_is_refused(profile_path):
    filled(profile_path, chain("relu"), {"relu": 1e-3})
    with pytest.raises(ProfileError, match="another board"):
        Profile.create_or_open(profile_path, replace(BOARD, torch="2.6.0"))


def test_missing_file_and_folder(profile_path):
    with pytest.raises(ProfileError, match="opclock measure"):
        Profile.open(profile_path)
    with pytest.raises(ProfileError, match="make it first"):
        Profile.create_or_open(profile_path.parent / "nowhere" / "x.sqlite", BOARD)


def test_two_writers_and_a_reader_at_once(profile_path):
    with Profile.create_or_open(profile_path, BOARD) as one, Profile.create_or_open(profile_path, BOARD) as two:
        first = one.start_pool(CONDITION, ["a"], [1], signature="1")
        second = two.start_pool(CONDITION, ["a"], [1], signature="2")
        for _ in range(10):
            one.add_rounds(first, np.ones((2, 1)), np.ones(2), None)
            two.add_rounds(second, np.ones((2, 1)) * 2, np.ones(2), None)
        with Profile.open(profile_path) as reader:
            assert len(reader.pool(first).control_s) == 20
    with Profile.open(profile_path) as reader:
        assert reader.pool(second).seconds.sum() == 40


def test_copied_profile_opens_where_nothing_can_be_written(profile_path):
    filled(profile_path, chain("relu"), {"relu": 1e-3})
    profile_path.parent.chmod(0o500)
    try:
        with Profile.open(profile_path) as profile:
            assert profile.board()["model"] == "test board"
    finally:
        profile_path.parent.chmod(0o700)


def test_interrupted_pool_is_found_again(profile_path):
    with Profile.create_or_open(profile_path, BOARD) as profile:
        pool = profile.start_pool(CONDITION, ["a"], [1], signature="mine")
        assert profile.resume_pool(CONDITION, "mine") == pool
        assert profile.resume_pool(CONDITION, "other") is None
        assert profile.measured(CONDITION, ["a"]) == set()
        profile.add_rounds(pool, np.ones((1, 1)), np.ones(1), None)
        profile.end_pool(pool, "settled", ["narrow"], {})
        assert profile.resume_pool(CONDITION, "mine") is None
        assert profile.measured(CONDITION, ["a", "b"]) == {"a"}


def test_a_ceiling_forgets_an_outlier(profile_path):
    with Profile.create_or_open(profile_path, BOARD) as profile:
        assert profile.ceiling("copy_bytes_per_s", 1024, 2) is None
        for rate in (5.0, 90.0, 7.0, 8.0, 9.0):  # one far too high, one disturbed
            profile.add_ceiling("copy_bytes_per_s", 1024, 2, rate)
        assert profile.ceiling("copy_bytes_per_s", 1024, 2) == 9.0
        (kept,) = profile.ceilings(2)
        assert (kept.name, kept.nbytes, kept.rate) == ("copy_bytes_per_s", 1024, 9.0)


def test_an_empty_file_and_a_folder_are_named_as_such(profile_path):
    profile_path.touch()
    with pytest.raises(ProfileError, match="is empty"):
        Profile.open(profile_path)
    for opening in (
        lambda: Profile.open(profile_path.parent),
        lambda: Profile.create_or_open(profile_path.parent, BOARD),
    ):
        with pytest.raises(ProfileError, match="is a folder"):
            opening()


def test_a_closed_profile_says_so(profile_path):
    with Profile.create_or_open(profile_path, BOARD) as profile:
        pass
    with pytest.raises(ProfileError, match="is closed"):
        profile.conditions()
    with pytest.raises(ProfileError, match="is closed"):
        profile.add_ceiling("copy_bytes_per_s", 1024, 2, 1.0)
