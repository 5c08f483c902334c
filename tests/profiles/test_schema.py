"""Profiles that older versions wrote: ``golden/schema_N.sql`` holds what each version's own code stored."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from helpers import BOARD

from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile
from opclock.profiles.schema import SCHEMA_VERSION

GOLDEN = sorted((Path(__file__).parent / "golden").glob("schema_*.sql"))
CONDITION = Condition("in_model", "cpu", 2, 20)
KEY = '{"name":"aten::relu"}'


def restored(script: Path, path: Path) -> Path:
    connection = sqlite3.connect(path)
    connection.executescript(script.read_text(encoding="utf-8"))
    connection.close()
    return path


def layout(profile):
    """Each table with its columns and keys, and the columns of each index."""
    tables = [row[0] for row in profile.ask("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    # The numbers of columns differ where a migration added one, the rest does not.
    columns = {table: sorted(row[1:] for row in profile.ask(f"PRAGMA table_info({table})")) for table in tables}
    foreign = {table: sorted(row[2:] for row in profile.ask(f"PRAGMA foreign_key_list({table})")) for table in tables}
    indexes = profile.ask("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name")
    return columns, foreign, indexes


def check_contents(profile):
    newest, second, first = profile.pools(["in_model"], "cpu", 2)
    assert [one.pool for one in profile.pool_matches("in_model", "cpu", 2, [KEY])] == [first, second, newest]
    pool = profile.pool(second)
    assert pool.calls_per_sample == (1, 2)
    assert pool.reasons == ("narrow", "stagnant")
    assert (pool.rounds, pool.disturbed, pool.contended, pool.controls) == (6, 0, False, {})
    assert set(pool.blocks) == {0}
    np.testing.assert_allclose(pool.seconds[:, 0], 1e-3 + np.arange(6) * 1e-5)
    np.testing.assert_allclose(pool.host_s, 1e-6)
    assert profile.ceiling("copy_bytes_per_s", 4096, 2) == 1e10


@pytest.mark.parametrize("script", GOLDEN, ids=lambda path: path.stem)
def test_an_older_profile_is_read_and_upgraded(script, profile_path):
    restored(script, profile_path)
    before = profile_path.read_bytes()
    with Profile.open(profile_path) as profile:
        check_contents(profile)
    assert profile_path.read_bytes() == before
    with Profile.edit(profile_path) as profile:
        check_contents(profile)
        interrupted = profile.resume_pool(CONDITION, "s")  # it has no owner
        assert interrupted == profile.pools(["in_model"], "cpu", 2)[0]
        profile.add_rounds(interrupted, np.ones((1, 2)), np.ones(1), np.ones((1, 1)))
        assert list(profile.pool(interrupted).blocks) == [0] * 6 + [1]
        assert profile.start_pool(CONDITION, [KEY], [1], signature="t") > interrupted
        assert profile.ask("PRAGMA user_version") == [(SCHEMA_VERSION,)]
        assert profile.ask("PRAGMA integrity_check") == [("ok",)]
        assert profile.ask("PRAGMA foreign_key_check") == []


@pytest.mark.parametrize("script", GOLDEN, ids=lambda path: path.stem)
def test_an_upgraded_profile_has_the_tables_of_a_new_one(script, tmp_path):
    with Profile.create_or_open(tmp_path / "new.sqlite", BOARD) as new:
        with Profile.edit(restored(script, tmp_path / "old.sqlite")) as old:
            assert layout(old) == layout(new)


def test_golden_profiles_are_of_all_older_schemas():
    assert [path.stem for path in GOLDEN] == [f"schema_{version}" for version in range(1, SCHEMA_VERSION)]
