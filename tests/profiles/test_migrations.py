"""Profiles of older schemas."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest
from helpers import BOARD, add_pool, chain, filled

from opclock.errors import ProfileError
from opclock.estimation.estimate import estimate
from opclock.profiles.maintenance import merge
from opclock.profiles.profile import Profile
from opclock.profiles.schema import SCHEMA_VERSION

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


def test_a_host_is_merged_with_its_pool(tmp_path):
    traced = chain("relu", "tanh")
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    with Profile.create_or_open(one, BOARD) as profile:
        add_pool(profile, ["a"], [1.0])
    make_old(two, traced)
    with Profile.edit(one) as profile:
        assert merge(profile, two) == 1
        assert estimate(traced, profile, threads=2).coverage.measured == 1
