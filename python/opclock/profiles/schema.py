"""The tables of a profile file, and the check that a file is a profile."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from opclock.errors import ProfileError
from opclock.profiles.migrations import MIGRATIONS

APPLICATION_ID = 0x6F70636B  # "opck", in the file's header: marks an SQLite database as a profile
SCHEMA_VERSION = 5
FINISHED = "('settled', 'time_cap')"  # why pools ended whose op calls need not be measured again
CHECKED_WHOLE = 1 << 23  # bytes: checking all of a larger file would take too long

TABLES = """
CREATE TABLE board (id INTEGER PRIMARY KEY CHECK (id = 1), identity TEXT NOT NULL, facts TEXT NOT NULL);
CREATE TABLE op_call (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE,
  outputs TEXT, writes INTEGER      -- JSON: what it returns, and whether it writes memory; NULL where not kept
);
CREATE TABLE host (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kinds TEXT NOT NULL);
CREATE TABLE condition (
  id INTEGER PRIMARY KEY,
  timing TEXT NOT NULL, device TEXT NOT NULL, threads INTEGER NOT NULL, working_set INTEGER NOT NULL,
  UNIQUE (threads, device, timing, working_set)
);
CREATE TABLE configuration (
  family TEXT NOT NULL, parameters TEXT NOT NULL,  -- JSON object: which point of a sweep an op call is
  op_call INTEGER NOT NULL REFERENCES op_call (id),
  PRIMARY KEY (family, parameters)
) WITHOUT ROWID;
CREATE TABLE pool (
  id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again after the pool was removed
  signature TEXT NOT NULL,          -- equal for the same op calls in the same order, timed alike: it may go on
  condition INTEGER NOT NULL REFERENCES condition (id),
  host INTEGER REFERENCES host (id),
  started REAL NOT NULL,            -- seconds since 1970: the newest pool is the one that started last
  context TEXT NOT NULL,            -- JSON: clock, seed, board's state before and after
  ended TEXT NOT NULL DEFAULT '',   -- settled, time_cap or contended; '' while it runs or where it was interrupted
  owner TEXT NOT NULL DEFAULT '',   -- the process that samples it, as ``owner.py`` names it; '' where unknown
  heartbeat REAL NOT NULL DEFAULT 0 -- seconds since 1970 when the owner last wrote to the pool
);
CREATE TABLE member (
  pool INTEGER NOT NULL REFERENCES pool (id), position INTEGER NOT NULL,
  op_call INTEGER NOT NULL REFERENCES op_call (id),
  condition INTEGER NOT NULL REFERENCES condition (id),  -- the pool's: so that the index finds the newest pool at once
  calls_per_sample INTEGER NOT NULL, reason TEXT NOT NULL DEFAULT '',
  started REAL NOT NULL DEFAULT 0,  -- the pool's, for the same index
  PRIMARY KEY (pool, position)
) WITHOUT ROWID;
CREATE TABLE round (
  pool INTEGER NOT NULL REFERENCES pool (id), number INTEGER NOT NULL,
  seconds BLOB NOT NULL,            -- little-endian float64, one for each member, of one call
  anchor_s REAL NOT NULL,           -- of the control workload
  host BLOB,                        -- little-endian float64, one for each kind of host
  block INTEGER NOT NULL DEFAULT 0, -- rounds of one block were taken in a row
  process INTEGER NOT NULL DEFAULT 0, -- by which of several processes, numbered from 1; 0: by the one that measured
  wall_s REAL, wait_s REAL, switches INTEGER, cpu_s REAL, steal_s REAL, faults REAL,  -- ``Readings``; NULL: not known
  PRIMARY KEY (pool, number)
) WITHOUT ROWID;
CREATE TABLE control (
  pool INTEGER NOT NULL REFERENCES pool (id), block INTEGER NOT NULL, name TEXT NOT NULL, seconds REAL NOT NULL,
  PRIMARY KEY (pool, block, name)
) WITHOUT ROWID;
CREATE TABLE ceiling (
  name TEXT NOT NULL, bytes INTEGER NOT NULL, threads INTEGER NOT NULL,
  taken REAL NOT NULL,              -- seconds since 1970; 0 where an older schema did not keep it
  rate REAL NOT NULL,
  PRIMARY KEY (name, bytes, threads, taken)
) WITHOUT ROWID;
CREATE TABLE predictor (
  device TEXT NOT NULL, threads INTEGER NOT NULL, kind TEXT NOT NULL,
  version TEXT NOT NULL,            -- of the code and the measurements that it was learnt by
  facts TEXT NOT NULL,              -- JSON object
  forest BLOB NOT NULL,             -- as ``Forest.to_bytes`` makes it
  PRIMARY KEY (device, threads, kind)
);
CREATE INDEX configuration_of_op_call ON configuration (op_call);
CREATE INDEX member_of_op_call ON member (op_call, condition, started, pool);
CREATE INDEX pool_of_condition ON pool (condition);
CREATE INDEX pool_of_signature ON pool (signature);
CREATE INDEX pool_of_host ON pool (host, started);
CREATE INDEX pool_by_time ON pool (started);
CREATE INDEX pool_with_host ON pool (started) WHERE host IS NOT NULL;
"""


def make_tables(connection: sqlite3.Connection) -> None:
    """Create the tables, or upgrade an older schema, inside a transaction of the caller."""
    if connection.execute("PRAGMA application_id").fetchone()[0] == 0:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        _run(connection, TABLES)
    else:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for newer in range(version + 1, SCHEMA_VERSION + 1):
            _run(connection, MIGRATIONS[newer])
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _run(connection: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";\n"):
        connection.execute(statement)


def check(path: Path, connection: sqlite3.Connection) -> int:
    """Check that a file is a profile.

    A large file is only checked for its size; damage inside shows when it is read.

    Returns:
        The schema version; 0 where a writer stopped before it created the tables.

    Raises:
        ProfileError: the file is not a profile, is damaged, or is from a newer opclock.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application == 0 and tables == 0:
        return 0
    if application != APPLICATION_ID:
        raise ProfileError(f"{path} is an SQLite database, but no opclock profile; give another --profile file")
    if version > SCHEMA_VERSION:
        raise ProfileError(
            f"{path} was written by a newer opclock (schema {version}, this one reads up to {SCHEMA_VERSION}); "
            "upgrade opclock"
        )
    complaint = "ok"
    if path.stat().st_size <= CHECKED_WHOLE:
        complaint = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    elif _cut_off(path):
        complaint = "its end is missing"
    if complaint != "ok":
        raise ProfileError(f"the profile {path} is damaged ({complaint}); restore a copy or measure into another file")
    return version


def _cut_off(path: Path) -> bool:
    """Whether the file is shorter than its header says. With a log beside it, it may be, without damage."""
    if path.with_name(path.name + "-wal").exists():
        return False
    with path.open("rb") as file:
        header = file.read(100)
    page, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    return path.stat().st_size < (65536 if page == 1 else page) * pages
