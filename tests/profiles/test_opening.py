"""Opening a profile: what is no profile, or not this board's, is refused with one line and stays untouched."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import BOARD, chain, filled

from opclock.errors import ProfileError
from opclock.profiles.condition import Condition
from opclock.profiles.database_errors import as_profile_errors
from opclock.profiles.profile import Profile

CONDITION = Condition("in_model", "cpu", 2, 20)


@pytest.mark.parametrize(("refused", "words"), [
    ("board.sqlite", "this user may not write the file"), ("", "this user may not write the folder"),
    (None, "is the disk full"),
])  # fmt: skip
def test_what_cannot_be_written_is_named(tmp_path, monkeypatch, refused, words):
    """A file without permission to write was told as "is the folder writable?"."""
    path = tmp_path / "board.sqlite"
    path.touch()
    monkeypatch.setattr(os, "access", lambda one, _mode: refused is None or Path(one) != tmp_path / refused)
    with pytest.raises(ProfileError, match=words), as_profile_errors(path):
        raise sqlite3.OperationalError("attempt to write a readonly database")


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


def test_copied_profile_opens_where_nothing_can_be_written(profile_path):
    filled(profile_path, chain("relu"), {"relu": 1e-3})
    profile_path.parent.chmod(0o500)
    try:
        with Profile.open(profile_path) as profile:
            assert profile.board()["model"] == "test board"
    finally:
        profile_path.parent.chmod(0o700)


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


def test_a_profile_copied_without_its_log_says_so(profile_path, tmp_path):
    alone = tmp_path / "alone.sqlite"
    both = tmp_path / "both.sqlite"
    log = profile_path.with_name(profile_path.name + "-wal")
    with Profile.create_or_open(profile_path, BOARD) as profile:
        pool = profile.start_pool(CONDITION, ["a"], [1], signature="s")
        profile.add_rounds(pool, np.ones((3, 1)), np.ones(3), None)
        shutil.copy(profile_path, alone)
        shutil.copy(profile_path, both)
        shutil.copy(log, both.with_name(both.name + "-wal"))
    before = alone.read_bytes()
    for opening in (lambda: Profile.open(alone), lambda: Profile.create_or_open(alone, BOARD)):
        with pytest.raises(ProfileError, match=r"copied while .*alone\.sqlite-wal is missing: copy both") as error:
            opening()
        assert "\n" not in str(error.value)
    assert alone.read_bytes() == before
    connection = sqlite3.connect(alone)
    connection.execute("PRAGMA journal_mode = DELETE")  # as the message says
    connection.close()
    with pytest.raises(ProfileError, match="holds nothing yet"):  # all of it was in the log
        Profile.open(alone)
    with Profile.open(both) as profile:
        assert profile.pool(pool).rounds == 3


def test_a_profile_without_tables_says_so(profile_path):
    connection = sqlite3.connect(profile_path)
    connection.execute("PRAGMA user_version = 0")
    connection.execute("VACUUM")  # the file has a header now
    connection.close()
    assert profile_path.stat().st_size
    with pytest.raises(ProfileError, match="holds nothing yet"):
        Profile.open(profile_path)
    with Profile.create_or_open(profile_path, BOARD) as profile:
        assert profile.conditions() == []


def test_a_profile_that_nobody_closed_is_one_whole_file(profile_path):
    script = (
        "import sys; from helpers import BOARD; from opclock.profiles.profile import Profile\n"
        "profile = Profile.create_or_open(sys.argv[1], BOARD)\n"
        "profile.add_ceiling('loads_per_s', 1, 1, 5.0)\n"
    )
    subprocess.run([sys.executable, "-c", script, profile_path], check=True, cwd=Path(__file__).parents[1])
    assert [path.name for path in profile_path.parent.iterdir()] == [profile_path.name]
    with Profile.open(profile_path) as profile:
        assert profile.ceiling("loads_per_s", 1, 1) == 5.0


def test_a_fork_leaves_the_profile_to_its_parent(profile_path):
    with Profile.create_or_open(profile_path, BOARD) as profile:
        child = os.fork()
        if child == 0:
            profile.close()
            os._exit(0)
        os.waitpid(child, 0)
        profile.add_ceiling("loads_per_s", 1, 1, 5.0)
        assert profile_path.with_name(profile_path.name + "-wal").exists()
    with Profile.open(profile_path) as profile:
        assert profile.ceiling("loads_per_s", 1, 1) == 5.0
