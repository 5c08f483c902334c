"""The tables of a profile file, and the check that a file is a profile."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from opclock.errors import ProfileError

APPLICATION_ID = 0x6F70636B  # "opck", in the file's header: marks an SQLite database as a profile
SCHEMA_VERSION = 2
CHECKED_WHOLE = 1 << 23  # bytes: checking all of a larger file would take too long

_NEW_IN_2 = """
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
"""

_POOL = """
CREATE TABLE pool (
  id INTEGER PRIMARY KEY,
  signature TEXT NOT NULL,          -- equal for the same op calls in the same order: an interrupted pool goes on
  condition INTEGER NOT NULL REFERENCES condition (id),
  host INTEGER REFERENCES host (id),
  started REAL NOT NULL,            -- seconds since 1970
  context TEXT NOT NULL,            -- JSON: clock, seed, board's state before and after
  ended TEXT NOT NULL DEFAULT ''    -- settled or time_cap; '' while it runs or where it was interrupted
);
CREATE TABLE member (
  pool INTEGER NOT NULL REFERENCES pool (id), position INTEGER NOT NULL,
  op_call INTEGER NOT NULL REFERENCES op_call (id),
  condition INTEGER NOT NULL REFERENCES condition (id),  -- the pool's: so that the index finds the newest pool at once
  calls_per_sample INTEGER NOT NULL, reason TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (pool, position)
) WITHOUT ROWID;
"""

_INDEXES = """
CREATE INDEX configuration_of_op_call ON configuration (op_call);
CREATE INDEX member_of_op_call ON member (op_call, condition, pool);
CREATE INDEX pool_of_condition ON pool (condition);
CREATE INDEX pool_of_signature ON pool (signature);
CREATE INDEX pool_of_host ON pool (host, id);
CREATE INDEX pool_with_host ON pool (id) WHERE host IS NOT NULL;
"""

TABLES = f"""
CREATE TABLE board (id INTEGER PRIMARY KEY CHECK (id = 1), identity TEXT NOT NULL, facts TEXT NOT NULL);
CREATE TABLE op_call (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE,
  outputs TEXT, writes INTEGER      -- JSON: what it returns, and whether it writes memory; NULL where not kept
);
CREATE TABLE host (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kinds TEXT NOT NULL);
{_NEW_IN_2}{_POOL}
CREATE TABLE round (
  pool INTEGER NOT NULL REFERENCES pool (id), number INTEGER NOT NULL,
  seconds BLOB NOT NULL,            -- little-endian float64, one for each member, of one call
  anchor_s REAL NOT NULL,           -- of the control workload
  host BLOB,                        -- little-endian float64, one for each kind of host
  PRIMARY KEY (pool, number)
) WITHOUT ROWID;
CREATE TABLE ceiling (
  name TEXT NOT NULL, bytes INTEGER NOT NULL, threads INTEGER NOT NULL, rate REAL NOT NULL,
  PRIMARY KEY (name, bytes, threads)
) WITHOUT ROWID;
{_INDEXES}"""

# By schema version: the statements that upgrade a profile from the previous version.
MIGRATIONS = {
    2: f"""
ALTER TABLE op_call ADD COLUMN outputs TEXT;
ALTER TABLE op_call ADD COLUMN writes INTEGER;
{_NEW_IN_2}
INSERT INTO condition (timing, device, threads, working_set)
  SELECT DISTINCT timing, device, threads, working_set FROM pool;
ALTER TABLE pool RENAME TO pool_1;
ALTER TABLE member RENAME TO member_1;
{_POOL}
INSERT INTO pool SELECT pool_1.id, signature, condition.id, host, started, context, ended
  FROM pool_1 JOIN condition USING (timing, device, threads, working_set);
INSERT INTO member SELECT pool, position, op_call, pool.condition, calls_per_sample, reason
  FROM member_1 JOIN pool ON pool.id = member_1.pool;
ALTER TABLE round RENAME TO round_1;
CREATE TABLE round (
  pool INTEGER NOT NULL REFERENCES pool (id), number INTEGER NOT NULL,
  seconds BLOB NOT NULL, anchor_s REAL NOT NULL, host BLOB, PRIMARY KEY (pool, number)
) WITHOUT ROWID;
INSERT INTO round SELECT * FROM round_1;
DROP TABLE round_1;
DROP TABLE member_1;
DROP TABLE pool_1;
{_INDEXES}""",
}


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
