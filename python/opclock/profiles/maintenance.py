"""Inspects, merges and prunes profiles."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opclock.errors import ProfileError
from opclock.files import json_text
from opclock.formatting import counted
from opclock.profiles.owner import is_running
from opclock.profiles.profile import Profile, log_of
from opclock.profiles.reader import ProfileReader
from opclock.profiles.schema import FINISHED

# Rows of these tables are numbered in each profile, so a merge must renumber them. A pool is the same in both where
# signature and start are equal; one that went on in the other profile replaces what it was here.
_MERGE = """
INSERT OR IGNORE INTO condition (timing, device, threads, working_set)
  SELECT timing, device, threads, working_set FROM other.condition;
INSERT OR IGNORE INTO host (key, kinds) SELECT key, kinds FROM other.host;
INSERT INTO op_call (key, outputs, writes) SELECT key, outputs, writes FROM other.op_call WHERE true
  ON CONFLICT (key) DO UPDATE SET outputs = excluded.outputs, writes = excluded.writes WHERE outputs IS NULL;
INSERT OR IGNORE INTO configuration SELECT theirs.family, theirs.parameters, mine.id FROM other.configuration theirs
  JOIN other.op_call there ON there.id = theirs.op_call JOIN op_call mine ON mine.key = there.key;
CREATE TEMP TABLE outgrown AS SELECT mine.id FROM main.pool mine JOIN other.pool theirs
  ON mine.signature = theirs.signature AND mine.started = theirs.started
  WHERE mine.ended = '' AND NOT is_running(mine.owner, mine.heartbeat)
  AND (SELECT count(*) FROM other.round WHERE pool = theirs.id) - (SELECT count(*) FROM main.round WHERE pool = mine.id)
    >= (theirs.ended = '');
DELETE FROM main.round WHERE pool IN outgrown;
DELETE FROM main.control WHERE pool IN outgrown;
DELETE FROM main.member WHERE pool IN outgrown;
DELETE FROM main.pool WHERE id IN outgrown;
CREATE TEMP TABLE moved AS SELECT theirs.id AS there,
  coalesce((SELECT seq FROM main.sqlite_sequence WHERE name = 'pool'), 0)
    + row_number() OVER (ORDER BY theirs.started, theirs.id) AS here
  FROM other.pool theirs WHERE NOT EXISTS (
    SELECT 1 FROM main.pool mine WHERE mine.signature = theirs.signature AND mine.started = theirs.started);
INSERT INTO pool (id, signature, condition, host, started, context, ended)
  SELECT moved.here, p.signature, mine.id, h.id, p.started, p.context, p.ended
  FROM moved JOIN other.pool p ON p.id = moved.there JOIN other.condition c ON c.id = p.condition
  JOIN condition mine USING (timing, device, threads, working_set)
  LEFT JOIN other.host there ON there.id = p.host LEFT JOIN host h ON h.key = there.key;
INSERT INTO member (pool, position, op_call, condition, calls_per_sample, reason, started)
  SELECT moved.here, m.position, mine.id, p.condition, m.calls_per_sample, m.reason, m.started
  FROM moved JOIN other.member m ON m.pool = moved.there JOIN pool p ON p.id = moved.here
  JOIN other.op_call there ON there.id = m.op_call JOIN op_call mine ON mine.key = there.key;
INSERT INTO round
  (pool, number, seconds, anchor_s, host, block, process, wall_s, wait_s, switches, cpu_s, steal_s, faults)
  SELECT moved.here, number, seconds, anchor_s, host, block, process, wall_s, wait_s, switches, cpu_s, steal_s, faults
  FROM moved JOIN other.round r ON r.pool = moved.there;
INSERT INTO control (pool, block, name, seconds) SELECT moved.here, block, name, seconds
  FROM moved JOIN other.control c ON c.pool = moved.there;
INSERT OR IGNORE INTO ceiling (name, bytes, threads, taken, rate)
  SELECT name, bytes, threads, taken, rate FROM other.ceiling;
"""

# Pools that no estimate uses: all their op calls and their host were measured again, completely, in the same
# condition; or they have no rounds. A pool that another process samples now is none of them.
_OUTDATED = f"""
SELECT p.id FROM pool p WHERE NOT (p.ended = '' AND is_running(p.owner, p.heartbeat))
  AND (NOT EXISTS (SELECT 1 FROM round WHERE round.pool = p.id) OR (
  NOT EXISTS (SELECT 1 FROM member m WHERE m.pool = p.id AND NOT EXISTS (
    SELECT 1 FROM member newer JOIN pool q ON q.id = newer.pool
    WHERE newer.op_call = m.op_call AND newer.condition = m.condition AND newer.started > m.started
      AND q.ended IN {FINISHED}))
  AND (p.host IS NULL OR EXISTS (
    SELECT 1 FROM pool q
    WHERE q.host = p.host AND q.condition = p.condition AND q.started > p.started AND q.ended IN {FINISHED}))))
"""


@dataclass(frozen=True)
class ProfileInfo:
    """The contents of a profile, counted."""

    board: dict[str, Any]
    op_calls: int
    measurements: int  # op calls in pools
    pools: dict[str, int]  # by timing, threads and device
    interrupted: int  # pools
    running: int  # pools that another process is sampling now
    configurations: dict[str, int]  # by family
    hosts: int
    ceilings: int
    nbytes: int  # of the file, and of the log beside it while it is written

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        return dict(vars(self))


def info(profile: ProfileReader) -> ProfileInfo:
    """Count the contents of a profile."""

    def count(query: str) -> int:
        return int(profile.ask(query)[0][0])

    pools: Counter[str] = Counter()
    for timing, threads, device, number in profile.ask(
        "SELECT timing, threads, device, count(*) FROM pool JOIN condition c ON c.id = pool.condition GROUP BY 1, 2, 3"
    ):
        pools[f"{timing}, {counted(threads, 'thread')}, {device}"] += number
    unfinished = profile.ask("SELECT owner, heartbeat FROM pool WHERE ended = ''")
    running = [is_running(owner, heartbeat) for owner, heartbeat in unfinished]
    families = profile.ask("SELECT family, count(*) FROM configuration GROUP BY 1 ORDER BY 1")
    return ProfileInfo(
        board=profile.board(),
        op_calls=count("SELECT count(*) FROM op_call"),
        measurements=count("SELECT count(*) FROM member"),
        pools=dict(pools),
        interrupted=running.count(False),
        running=running.count(True),
        configurations={str(family): int(number) for family, number in families},
        hosts=count("SELECT count(*) FROM host"),
        ceilings=count("SELECT count(*) FROM (SELECT DISTINCT name, bytes, threads FROM ceiling)"),
        nbytes=sum(path.stat().st_size for path in (profile.path, log_of(profile.path)) if path.exists()),
    )


def open_for_merge(target: ProfileReader, source: Path) -> Profile:
    """Open a profile whose pools another one of the same board shall take in.

    Args:
        target: the other one. It is only read.
        source: the file.

    Returns:
        The profile, for reading.

    Raises:
        ProfileError: it cannot be read, is the target itself, or is of another board.
    """
    if source.exists() and source.samefile(target.path):
        raise ProfileError(f"{source} is the profile that takes in the others: name another one to copy from")
    other = Profile.open(source)
    mine, theirs = target.board()["identity"], other.board()["identity"]
    if mine != theirs:
        other.close()
        raise ProfileError(
            f"{source} is the profile of another board ({theirs}), {target.path} that of {mine}: two boards are "
            "compared ('opclock compare'), never merged"
        )
    return other


def merge(target: Profile, source: Path) -> int:
    """Copy the pools of another profile of the same board that the target lacks.

    Args:
        target: open for writing.
        source: the other profile's file.

    Returns:
        The number of copied pools, among them those that went on since an earlier merge.

    Raises:
        ProfileError: the profiles are of different boards, or one cannot be read or written.
    """
    with open_for_merge(target, source) as other, target.beside(other), target.changing() as connection:
        connection.create_function("is_running", 2, is_running)
        for statement in _MERGE.split(";\n"):
            connection.execute(statement)
        came = int(connection.execute("SELECT count(*) FROM moved").fetchone()[0])
        connection.execute("DROP TABLE moved")
        connection.execute("DROP TABLE outgrown")
    return came


def prune(profile: Profile) -> int:
    """Remove the pools that no estimate uses and what was learnt from them, and shrink the file.

    Args:
        profile: open for writing.

    Returns:
        The number of removed pools.

    Raises:
        ProfileError: the file cannot be written.
    """
    with profile.changing() as connection:
        connection.create_function("is_running", 2, is_running)
        numbers = [row[0] for row in connection.execute(_OUTDATED)]
        text = json_text(numbers)
        for table, column in (("round", "pool"), ("control", "pool"), ("member", "pool"), ("pool", "id")):
            connection.execute(f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))", (text,))
        connection.execute(
            "DELETE FROM op_call WHERE id NOT IN (SELECT op_call FROM member) "
            "AND id NOT IN (SELECT op_call FROM configuration)"
        )
        connection.execute("DELETE FROM predictor")  # it is learnt anew
    _shrink(profile)
    return len(numbers)


def contended(profile: ProfileReader) -> int:
    """Count the pools that ended with too few clean rounds."""
    return int(profile.ask("SELECT count(*) FROM pool WHERE ended = 'contended'")[0][0])


def _shrink(profile: Profile) -> None:
    try:
        profile.ask("VACUUM")
    except (ProfileError, sqlite3.Error):
        return  # another process reads the file; later writes reuse the space
