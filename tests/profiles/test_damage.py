"""Every damaged value of a profile: the verbs that read either work or say in one line that the file is damaged."""

from __future__ import annotations

import shutil
import sqlite3

import numpy as np
import pytest
from helpers import board_profile, chain, opclock

from opclock.profiles.damage import damaged_place

VALUES = (None, "no number", b"\x01\x02\x03", -7, "[", "[]", "{}")
TABLES = ("board", "op_call", "condition", "configuration", "host", "pool", "member", "round", "control", "ceiling",
          "predictor")  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A trace and a small profile with a row in every table."""
    folder = tmp_path_factory.mktemp("whole")
    trace = chain("relu", "conv2d")
    trace.save(folder / "chain.json")
    calls = list({call.call.key: call for call in trace.calls}.values())
    board_profile(folder / "p.sqlite", calls, np.full(len(calls), 1e-4))
    with sqlite3.connect(folder / "p.sqlite") as connection:
        connection.execute("INSERT OR IGNORE INTO control SELECT id, 0, 'chase', 1e-5 FROM pool")
        connection.execute(
            "INSERT OR IGNORE INTO configuration (family, parameters, op_call) SELECT 'copy', '{}', id FROM op_call"
        )
        connection.execute("INSERT INTO predictor VALUES ('cpu', 2, 'gemm', '0', '{}', x'00')")
    connection.close()
    return folder


def columns(connection, table):
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def damage(path, statement, *values):
    """Change a file behind opclock's back. Returns whether SQLite let it be."""
    connection = sqlite3.connect(path)
    try:
        with connection:
            return connection.execute(statement, values).rowcount > 0
    except sqlite3.IntegrityError:
        return False
    finally:
        connection.close()


def read_by_all(folder, path):
    yield opclock("profile", "info", path)
    yield opclock("compare", folder / "p.sqlite", path)
    yield opclock("estimate", folder / "chain.json", "--profile", path)


def check(done, place):
    assert "Traceback" not in done.stderr, place
    assert done.returncode in (0, 1, 2), place
    if done.returncode == 2:
        assert done.stderr.strip().splitlines()[-1].startswith("opclock: "), place


@pytest.mark.parametrize("table", TABLES)
def test_a_damaged_cell_is_no_traceback(table, whole, tmp_path):
    path = tmp_path / "damaged.sqlite"
    with sqlite3.connect(whole / "p.sqlite") as connection:
        names = columns(connection, table)
    connection.close()
    for name in names:
        for value in VALUES:
            shutil.copy(whole / "p.sqlite", path)
            if damage(path, f"UPDATE OR FAIL {table} SET {name} = ?", value):
                for done in read_by_all(whole, path):
                    check(done, f"{table}.{name} = {value!r}")


@pytest.mark.parametrize("table", TABLES)
def test_missing_rows_are_no_traceback(table, whole, tmp_path):
    path = tmp_path / "damaged.sqlite"
    shutil.copy(whole / "p.sqlite", path)
    damage(path, f"DELETE FROM {table}")
    for done in read_by_all(whole, path):
        check(done, f"no {table}")


def test_a_whole_profile_has_no_damaged_place(whole):
    connection = sqlite3.connect(whole / "p.sqlite")
    assert damaged_place(connection) is None
    connection.close()


def test_rounds_that_share_a_count_of_switches_are_not_damaged(whole, tmp_path):
    """Half a switch each: any other error beside such a profile was called damage."""
    path = tmp_path / "shared.sqlite"
    shutil.copy(whole / "p.sqlite", path)
    assert damage(path, "UPDATE OR FAIL round SET switches = ?", 0.5)
    connection = sqlite3.connect(path)
    assert damaged_place(connection) is None
    connection.execute("UPDATE round SET switches = 'many'")
    assert damaged_place(connection) == "round.switches"
    connection.close()
