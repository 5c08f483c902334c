"""The profile: one board's measurements in one SQLite file, raw samples and all."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from opclock.board import Board
from opclock.condition import Condition
from opclock.errors import ProfileError
from opclock.measurement import Pool, Samples

APPLICATION_ID = 0x6F70636B  # "opck": how `file` and SQLite tell a profile from any other database
SCHEMA_VERSION = 1
BUSY_S = 60.0  # how long a second writer waits: far above the milliseconds one round takes to store

TABLES = """
CREATE TABLE board (id INTEGER PRIMARY KEY CHECK (id = 1), identity TEXT NOT NULL, facts TEXT NOT NULL);
CREATE TABLE op_call (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE host (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kinds TEXT NOT NULL);
CREATE TABLE pool (
  id INTEGER PRIMARY KEY,
  signature TEXT NOT NULL,          -- equal for the same op calls in the same order: an interrupted pool goes on
  timing TEXT NOT NULL, device TEXT NOT NULL, threads INTEGER NOT NULL, working_set INTEGER NOT NULL,
  host INTEGER REFERENCES host (id),
  started REAL NOT NULL,            -- seconds since 1970
  context TEXT NOT NULL,            -- JSON: clock, seed, board's state before and after
  ended TEXT NOT NULL DEFAULT ''    -- settled or time_cap; '' while it runs or where it was interrupted
);
CREATE TABLE member (
  pool INTEGER NOT NULL REFERENCES pool (id), position INTEGER NOT NULL,
  op_call INTEGER NOT NULL REFERENCES op_call (id),
  calls_per_sample INTEGER NOT NULL, reason TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (pool, position)
) WITHOUT ROWID;
CREATE TABLE round (
  pool INTEGER NOT NULL REFERENCES pool (id), number INTEGER NOT NULL,
  seconds BLOB NOT NULL,            -- little-endian float64, one for each member, of one call
  anchor_s REAL NOT NULL,
  host BLOB,                        -- little-endian float64, one for each kind of host
  PRIMARY KEY (pool, number)
) WITHOUT ROWID;
CREATE TABLE ceiling (
  name TEXT NOT NULL, bytes INTEGER NOT NULL, threads INTEGER NOT NULL, rate REAL NOT NULL,
  PRIMARY KEY (name, bytes, threads)
) WITHOUT ROWID;
"""


def _blob(values: Samples) -> bytes:
    return np.ascontiguousarray(values, dtype="<f8").tobytes()


class Profile:
    """An open profile. Use it in a ``with`` block; rounds are on disk when ``add_rounds`` returns."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, writable: bool) -> None:
        self.path = path
        self._connection = connection
        self._writable = writable

    # Opening and closing ---------------------------------------------------------------------------------------

    @staticmethod
    def create_or_open(path: Path, board: Board) -> Profile:
        """Open for writing; a file that does not exist yet is made for this board.

        Raises:
            ProfileError: another board's, a foreign, newer or damaged file (left untouched), or one that cannot be
                written.
        """
        if not path.parent.is_dir():
            raise ProfileError(f"cannot write the profile {path}: there is no folder {path.parent}; make it first")
        fresh = not path.exists() or path.stat().st_size == 0
        if not fresh:
            Profile.open(path).close()  # checked read-only first: what is not a profile stays as it is
        with _explained(path):
            connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
            # A killed writer must leave a whole file, and two may write at once: a write-ahead log does both.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            profile = Profile(path, connection, writable=True)
            with profile._transaction():
                if connection.execute("PRAGMA application_id").fetchone()[0] == 0:
                    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                    for statement in TABLES.split(";\n"):
                        connection.execute(statement)
                connection.execute(
                    "INSERT OR IGNORE INTO board VALUES (1, ?, ?)", (board.identity, json.dumps(board.to_json()))
                )
            identity = connection.execute("SELECT identity FROM board").fetchone()[0]
        if identity != board.identity:
            profile.close()
            raise ProfileError(f"{path} is the profile of another board ({identity}), this is {board.identity}: "
                               "give another --profile file")  # fmt: skip
        return profile

    @staticmethod
    def open(path: Path) -> Profile:
        """Open read-only. Raises ProfileError on a missing, foreign, newer or damaged file; never writes."""
        if not path.is_file():
            raise ProfileError(f"there is no profile {path}; write one with 'opclock measure MODEL --profile {path}'")
        with _explained(path):
            # A copied file in a folder that cannot be written has no log beside it: then nothing can change either.
            log = path.with_name(path.name + "-wal")
            frozen = not log.exists() and not os.access(path.parent, os.W_OK)
            mode = "mode=ro&immutable=1" if frozen else "mode=ro"
            connection = sqlite3.connect(
                f"{path.resolve().as_uri()}?{mode}", uri=True, timeout=BUSY_S, isolation_level=None
            )
            try:
                _check(path, connection)
            except BaseException:
                connection.close()
                raise
        return Profile(path, connection, writable=False)

    def close(self) -> None:
        """Fold the log into the file, so that one file holds all, unless another process still writes."""
        if self._writable:
            self._writable = False
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA busy_timeout = 0")
                self._connection.execute("PRAGMA journal_mode = DELETE")
        self._connection.close()

    def __enter__(self) -> Profile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    # Writing ---------------------------------------------------------------------------------------------------

    def start_pool(
        self,
        condition: Condition,
        keys: Sequence[str],
        calls_per_sample: Sequence[int],
        *,
        signature: str,
        host: tuple[str, Sequence[str]] | None = None,
        context: dict[str, Any] | None = None,
    ) -> int:
        """Begin a pool of op calls that are sampled together, and return its number."""
        with self._transaction() as connection:
            host_id = None
            if host is not None:
                connection.execute("INSERT OR IGNORE INTO host (key, kinds) VALUES (?, ?)",
                                   (host[0], json.dumps(list(host[1]))))  # fmt: skip
                host_id = connection.execute("SELECT id FROM host WHERE key = ?", (host[0],)).fetchone()[0]
            row = (signature, condition.timing, condition.device, condition.threads, condition.working_set, host_id,
                   time.time(), json.dumps(context or {}))  # fmt: skip
            pool = connection.execute(
                "INSERT INTO pool (signature, timing, device, threads, working_set, host, started, context) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            ).lastrowid
            connection.executemany("INSERT OR IGNORE INTO op_call (key) VALUES (?)", [(key,) for key in set(keys)])
            connection.executemany(
                "INSERT INTO member (pool, position, op_call, calls_per_sample) "
                "VALUES (?, ?, (SELECT id FROM op_call WHERE key = ?), ?)",
                [(pool, i, key, calls) for i, (key, calls) in enumerate(zip(keys, calls_per_sample, strict=True))],
            )
        assert pool is not None
        return pool

    def add_rounds(self, pool: int, seconds: Samples, anchor_s: Samples, host_s: Samples | None) -> None:
        """Keep finished rounds after those the pool has.

        ``seconds`` is rounds x members, ``anchor_s`` one a round, ``host_s`` rounds x kinds, or None where no host was
        played.
        """
        hosts: Sequence[bytes | None] = [None] * len(seconds) if host_s is None else [_blob(row) for row in host_s]
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO round "
                "VALUES (?, (SELECT coalesce(max(number) + 1, 0) FROM round WHERE pool = ?), ?, ?, ?)",
                [(pool, pool, _blob(row), float(anchor), host)
                 for row, anchor, host in zip(seconds, anchor_s, hosts, strict=True)],
            )  # fmt: skip

    def end_pool(self, pool: int, ended: str, reasons: Sequence[str], after: dict[str, Any]) -> None:
        """Record why sampling stopped, by position and for the whole pool, and the board's state afterwards."""
        with self._transaction() as connection:
            context = json.loads(connection.execute("SELECT context FROM pool WHERE id = ?", (pool,)).fetchone()[0])
            connection.execute(
                "UPDATE pool SET ended = ?, context = ? WHERE id = ?", (ended, json.dumps({**context, **after}), pool)
            )
            connection.executemany(
                "UPDATE member SET reason = ? WHERE pool = ? AND position = ?",
                [(reason, pool, position) for position, reason in enumerate(reasons)],
            )

    def set_ceiling(self, name: str, size: int, threads: int, rate: float) -> None:
        """Keep a ceiling (a rate a second, for buffers of `size` bytes); the higher of this and an earlier one."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO ceiling VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET rate = max(rate, excluded.rate)",
                (name, size, threads, rate),
            )

    # Reading ---------------------------------------------------------------------------------------------------

    def board(self) -> dict[str, Any]:
        """The board's facts, as JSON-ready data."""
        return dict(json.loads(self._all("SELECT facts FROM board")[0][0]))

    def ceiling(self, name: str, size: int, threads: int) -> float | None:
        """A kept ceiling, or None."""
        rows = self._all("SELECT rate FROM ceiling WHERE name = ? AND bytes = ? AND threads = ?", name, size, threads)
        return float(rows[0][0]) if rows else None

    def interrupted_pool(self, condition: Condition, signature: str) -> int | None:
        """The newest pool of this signature that was not ended, or None."""
        rows = self._all(
            "SELECT id FROM pool WHERE signature = ? AND timing = ? AND device = ? AND threads = ? "
            "AND working_set = ? AND ended = '' ORDER BY id DESC LIMIT 1",
            signature, condition.timing, condition.device, condition.threads, condition.working_set,
        )  # fmt: skip
        return int(rows[0][0]) if rows else None

    def pools(self, timing: str, device: str, threads: int, keys: Iterable[str] | None = None) -> list[int]:
        """Numbers of the pools of one timing, device and thread count that have rounds; with `keys`, any of them."""
        query = (
            "SELECT id FROM pool WHERE timing = ? AND device = ? AND threads = ? "
            "AND EXISTS (SELECT 1 FROM round WHERE round.pool = pool.id)"
        )
        parameters: list[Any] = [timing, device, threads]
        if keys is not None:
            query += (
                " AND id IN (SELECT member.pool FROM member JOIN op_call ON op_call.id = member.op_call"
                " WHERE op_call.key IN (SELECT value FROM json_each(?)))"
            )
            parameters.append(json.dumps(list(keys)))
        return [int(row[0]) for row in self._all(query + " ORDER BY id", *parameters)]

    def pools_with_host(self, timing: str, device: str, threads: int) -> list[int]:
        """Numbers of the pools that have rounds with host work among them."""
        rows = self._all(
            "SELECT id FROM pool WHERE timing = ? AND device = ? AND threads = ? AND host IS NOT NULL "
            "AND EXISTS (SELECT 1 FROM round WHERE round.pool = pool.id) ORDER BY id",
            timing, device, threads,
        )  # fmt: skip
        return [int(row[0]) for row in rows]

    def measured(self, condition: Condition) -> set[str]:
        """Keys that an ended pool of exactly this condition holds."""
        rows = self._all(
            "SELECT DISTINCT op_call.key FROM member JOIN op_call ON op_call.id = member.op_call "
            "JOIN pool ON pool.id = member.pool WHERE pool.ended <> '' AND pool.timing = ? AND pool.device = ? "
            "AND pool.threads = ? AND pool.working_set = ?",
            condition.timing, condition.device, condition.threads, condition.working_set,
        )  # fmt: skip
        return {row[0] for row in rows}

    def host_measured(self, condition: Condition, host_key: str) -> bool:
        """Whether this host was played to the end among op calls of this condition."""
        return bool(
            self._all(
                "SELECT 1 FROM pool JOIN host ON host.id = pool.host WHERE host.key = ? AND pool.ended <> '' "
                "AND pool.timing = ? AND pool.device = ? AND pool.threads = ? AND pool.working_set = ? LIMIT 1",
                host_key, condition.timing, condition.device, condition.threads, condition.working_set,
            )
        )  # fmt: skip

    def pool(self, number: int) -> Pool:
        """One pool with all its rounds."""
        header = self._all(
            "SELECT timing, device, threads, working_set, ended, host.key, host.kinds FROM pool "
            "LEFT JOIN host ON host.id = pool.host WHERE pool.id = ?", number
        )[0]  # fmt: skip
        members = self._all(
            "SELECT op_call.key, calls_per_sample, reason FROM member JOIN op_call ON op_call.id = member.op_call "
            "WHERE pool = ? ORDER BY position", number
        )  # fmt: skip
        rows = self._all("SELECT seconds, anchor_s, host FROM round WHERE pool = ? ORDER BY number", number)
        kinds = tuple(json.loads(header[6])) if header[6] else ()
        return Pool(
            number=number,
            condition=Condition(*header[:4]),
            keys=tuple(member[0] for member in members),
            calls_per_sample=tuple(member[1] for member in members),
            reasons=tuple(member[2] for member in members),
            ended=header[4],
            seconds=_matrix(self.path, [row[0] for row in rows], len(members)),
            anchor_s=np.array([row[1] for row in rows]),
            host_key=header[5] or "",
            host_s=_matrix(self.path, [row[2] for row in rows] if kinds else [], len(kinds)),
            host_kinds=kinds,
        )

    def _all(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401
        with _explained(self.path):
            return self._connection.execute(query, parameters).fetchall()


def _matrix(path: Path, blobs: Sequence[bytes], columns: int) -> Samples:
    if any(len(blob) != 8 * columns for blob in blobs):
        raise ProfileError(f"the profile {path} is damaged: a round has not one number for each of its op calls")
    return np.frombuffer(b"".join(blobs), dtype="<f8").reshape(len(blobs), columns)


def _check(path: Path, connection: sqlite3.Connection) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    schema = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application == 0 and tables == 0:
        return  # a writer was stopped before it made the tables
    if application != APPLICATION_ID:
        raise ProfileError(f"{path} is an SQLite database, but no opclock profile; give another --profile file")
    if schema > SCHEMA_VERSION:
        raise ProfileError(
            f"{path} was written by a newer opclock (schema {schema}, this one reads up to {SCHEMA_VERSION}); "
            "upgrade opclock"
        )
    complaint = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if complaint != "ok":
        raise ProfileError(f"the profile {path} is damaged ({complaint}); restore a copy or measure into another file")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise ProfileError(f"cannot use the profile {path}: {error}; is the folder writable and the disk not full?"
                           ) from error  # fmt: skip
    except sqlite3.DatabaseError as error:
        raise ProfileError(f"{path} is not a profile or is damaged ({error}); restore a copy or give another file"
                           ) from error  # fmt: skip
