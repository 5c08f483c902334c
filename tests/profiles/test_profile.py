"""What is stored in a profile is read back."""

from __future__ import annotations

import json
import math
import tempfile
import time
from pathlib import Path

import numpy as np
from helpers import BOARD
from hypothesis import given, settings
from hypothesis import strategies as st

from opclock.profiles.condition import Condition
from opclock.profiles.disturbance import Readings
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


def test_rounds_are_on_disk_when_add_rounds_returns(profile_path):
    """SQLite synchronises the log at the end of every transaction, as a board may lose power at any time."""
    with Profile.create_or_open(profile_path, BOARD) as profile:
        assert profile.ask("PRAGMA synchronous") == [(2,)]  # FULL
        assert profile.ask("PRAGMA journal_mode") == [("wal",)]
        assert profile.ask("PRAGMA foreign_keys") == [(1,)]


def test_json_in_a_profile_never_holds_nan(profile_path):
    with Profile.create_or_open(profile_path, BOARD) as profile:
        context = {"clock": {"disagreement": math.nan}, "numbers": [1.0, -math.inf, "NaN"]}
        pool = profile.start_pool(CONDITION, ["a"], [1], signature="s", context=context)
        profile.end_pool(pool, "settled", ["narrow"], {"resolution_s": math.inf})
        ((text,),) = profile.ask("SELECT context FROM pool")

    def refuse(constant):
        raise AssertionError(constant)

    read = json.loads(text, parse_constant=refuse)
    assert read == {"clock": {"disagreement": None}, "numbers": [1.0, None, "NaN"], "resolution_s": None}


def test_a_pool_returns_its_clean_rounds(profile_path):
    readings = Readings.unknown(8)
    readings.switches[:] = [0, 3, 0, 0, 0, 1, 0, 0]
    with Profile.create_or_open(profile_path, BOARD) as profile:
        pool = profile.start_pool(CONDITION, ["a"], [1], signature="s", host=("h", ["python"]))
        profile.add_rounds(pool, np.arange(8.0)[:, None], np.arange(8.0), np.arange(8.0)[:, None], readings,
                           controls={"product": 1.0})  # fmt: skip
        profile.add_rounds(pool, np.full((1, 1), 8.0), np.full(1, 8.0), np.full((1, 1), 8.0))
        clean, whole = profile.pool(pool), profile.pool(pool, all_rounds=True)
    kept = [0.0, 2.0, 3.0, 4.0, 6.0, 7.0, 8.0]
    for values in (clean.seconds[:, 0], clean.control_s, clean.host_s[:, 0]):
        np.testing.assert_array_equal(values, kept)
    assert list(clean.blocks) == [0] * 6 + [1]
    assert (clean.rounds, clean.disturbed, clean.contended) == (9, 2, False)
    assert (len(whole.seconds), whole.rounds, whole.disturbed, whole.contended) == (9, 9, 2, False)
    np.testing.assert_array_equal(clean.controls["product"], [1.0, np.nan])


def test_a_pool_with_too_few_clean_rounds_is_contended(profile_path):
    readings = Readings.unknown(10)
    readings.wall_s[:] = 1.0
    readings.wait_s[:] = [0.9, 0.8, 0, 0.7, 0.6, 0, 0.5, 0.4, 0.3, 0.2]
    with Profile.create_or_open(profile_path, BOARD) as profile:
        pool = profile.start_pool(CONDITION, ["a"], [1], signature="s")
        profile.add_rounds(pool, np.arange(10.0)[:, None], np.ones(10), None, readings)
        read = profile.pool(pool)
    assert (read.rounds, read.disturbed, read.contended) == (10, 8, True)
    assert list(read.seconds[:, 0]) == [2, 5, 7, 8, 9]


def test_an_empty_block_is_no_block(profile_path):
    with Profile.create_or_open(profile_path, BOARD) as profile:
        pool = profile.start_pool(CONDITION, ["a"], [1], signature="s")
        for rounds in (2, 0, 1):
            profile.add_rounds(pool, np.ones((rounds, 1)), np.ones(rounds), None)
        assert list(profile.pool(pool).blocks) == [0, 0, 1]


def test_a_clock_that_goes_back_makes_no_pool_older(profile_path, monkeypatch):
    with Profile.create_or_open(profile_path, BOARD) as profile:
        first = profile.start_pool(CONDITION, ["a"], [1], signature="s")
        monkeypatch.setattr(time, "time", lambda: 0.0)  # a board without a battery for its clock
        second = profile.start_pool(CONDITION, ["a"], [1], signature="t")
        for pool in (first, second):
            profile.add_rounds(pool, np.ones((1, 1)), np.ones(1), None)
        assert profile.pools(["in_model"], "cpu", 2) == [second, first]


def test_what_is_remembered_ends_with_any_change(profile_path):
    made = []

    def make():
        made.append(len(made))
        return made[-1]

    with Profile.create_or_open(profile_path, BOARD) as writer, Profile.open(profile_path) as reader:
        for profile in (writer, reader):
            made.clear()
            assert [profile.remembered("key", make) for _ in range(2)] == [0, 0]
            assert profile.remembered("other", make) == 1
            writer.add_ceiling("copy_bytes_per_s", 4096, 2, 1e10)
            assert profile.remembered("key", make) == 2
            assert profile.remembered("other", make) == 3
