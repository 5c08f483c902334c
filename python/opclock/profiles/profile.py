"""The profile: the measurements of one board, with raw samples, in one SQLite file."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from opclock.board.identity import Board
from opclock.errors import ProfileError
from opclock.profiles import schema
from opclock.profiles.condition import Condition
from opclock.profiles.database_errors import as_profile_errors
from opclock.profiles.reader import ProfileReader
from opclock.profiles.statistics import Samples
from opclock.tracing.op_call import encode
from opclock.tracing.trace import TracedCall

CACHE_BYTES = 1 << 26  # of a writer, which changes pages all over the index of op calls
LOG_PAGES = 16_000  # of 4 KiB before the log is written into the file: the same pages change many times
BUSY_S = 60.0  # how long a second writer waits; storing one round takes milliseconds


def _blob(values: Samples) -> bytes:
    return np.ascontiguousarray(values, dtype="<f8").tobytes()


class Profile(ProfileReader):
    """An open profile. Use it in a ``with`` block. Rounds are on disk when ``add_rounds`` returns."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, writable: bool, copied: bool = False) -> None:
        super().__init__(path, connection)
        self.copied = copied  # whether this is a converted copy, in memory, of a file with an older schema
        self._writable = writable

    # Opening and closing ---------------------------------------------------------------------------------------

    @staticmethod
    def create_or_open(path: str | Path, board: Board) -> Profile:
        """Open a profile for writing; create it for this board where it does not exist.

        Args:
            path: the file.
            board: this board.

        Returns:
            The open profile.

        Raises:
            ProfileError: the file cannot be written, is not a profile, is damaged, or is from another board or a newer
                opclock. Such a file is left as it is.
        """
        path = Path(path)
        _refuse_folder(path)
        if not path.parent.is_dir():
            raise ProfileError(f"cannot write the profile {path}: there is no folder {path.parent}; make it first")
        fresh = not path.exists() or path.stat().st_size == 0
        if not fresh:
            Profile.open(path).close()  # checked read-only first: a file that is not a profile stays unchanged
        with as_profile_errors(path):
            connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
            # A write-ahead log keeps the file intact when a writer is killed, and lets two processes write.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA cache_size = {-CACHE_BYTES // 1024}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
            profile = Profile(path, connection, writable=True)
            try:
                with profile.changing():
                    schema.make_tables(connection)
                    connection.execute(
                        "INSERT OR IGNORE INTO board VALUES (1, ?, ?)", (board.identity, json.dumps(board.to_json()))
                    )
                    identity = connection.execute("SELECT identity FROM board").fetchone()[0]
                    if identity != board.identity:
                        raise ProfileError(
                            f"{path} is the profile of another board ({identity}), this is {board.identity}: "
                            "give another --profile file"
                        )
            except BaseException:
                profile.close()
                raise
        return profile

    @staticmethod
    def edit(path: str | Path) -> Profile:
        """Open a profile of any board for merging or pruning. Raises ProfileError as ``open`` does."""
        with Profile.open(path) as profile:
            facts = profile.board()
        return Profile.create_or_open(path, Board.from_json(facts))

    @staticmethod
    def open(path: str | Path) -> Profile:
        """Open a profile for reading only.

        Raises ProfileError where the file is missing or damaged, is not a profile, or is from a newer opclock.
        """
        path = Path(path)
        _refuse_folder(path)
        if not path.is_file():
            raise ProfileError(f"there is no profile {path}; write one with 'opclock measure MODEL --profile {path}'")
        with as_profile_errors(path):
            # A file in a read-only folder has no log beside it, and nobody can change it.
            log = path.with_name(path.name + "-wal")
            frozen = not log.exists() and not os.access(path.parent, os.W_OK)
            mode = "mode=ro&immutable=1" if frozen else "mode=ro"
            connection = sqlite3.connect(
                f"{path.resolve().as_uri()}?{mode}", uri=True, timeout=BUSY_S, isolation_level=None
            )
            try:
                version = schema.check(path, connection)
                if version == 0 and path.stat().st_size == 0 and not log.exists():
                    raise ProfileError(
                        f"{path} is empty; write a profile with 'opclock measure MODEL --profile {path}'"
                    )
                copied = 0 < version < schema.SCHEMA_VERSION
                if copied:
                    connection = _newer_copy(connection)
            except BaseException:
                connection.close()
                raise
        return Profile(path, connection, writable=False, copied=copied)

    def close(self) -> None:
        """Close the profile. The log is written into the file first, unless another process is writing."""
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
    def changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all changes inside the block are kept, or none."""
        with as_profile_errors(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def beside(self, other: Profile) -> Iterator[None]:
        """Inside the block, the tables of another profile can be read under the name ``other``."""
        with tempfile.TemporaryDirectory() as folder:
            path = other.path
            if other.copied:
                path = Path(folder) / "copy.sqlite"
                with sqlite3.connect(path) as copy:
                    other._connection.backup(copy)
                copy.close()
            with as_profile_errors(path):
                self._connection.execute("ATTACH DATABASE ? AS other", (str(path),))
            try:
                yield
            finally:
                self._connection.execute("DETACH DATABASE other")

    # Writing ---------------------------------------------------------------------------------------------------

    def start_pool(
        self,
        condition: Condition,
        keys: Sequence[str],
        calls_per_sample: Sequence[int],
        *,
        signature: str,
        calls: Iterable[TracedCall] = (),
        host: tuple[str, Sequence[str]] | None = None,
        context: dict[str, Any] | None = None,
    ) -> int:
        """Start a pool of op calls that are sampled together.

        Args:
            condition: the condition of all of them.
            keys: keys of the op calls, by position in the pool.
            calls_per_sample: how many calls make one sample, by position.
            signature: equal for the same op calls in the same order, so that an interrupted pool is found again.
            calls: the op calls with their outputs; predictors learn only from calls that are given here.
            host: the host's key and the kinds of its work, where it is sampled too.
            context: the clock, the seed and the board's state before the rounds, as JSON-ready data.

        Returns:
            The pool's number.

        Raises:
            ProfileError: the file cannot be written.
        """
        traced = {one.call.key: (json.dumps(encode(one.outputs)), bool(one.writes)) for one in calls}
        with self.changing() as connection:
            host_id = None
            if host is not None:
                connection.execute("INSERT OR IGNORE INTO host (key, kinds) VALUES (?, ?)",
                                   (host[0], json.dumps(list(host[1]))))  # fmt: skip
                host_id = connection.execute("SELECT id FROM host WHERE key = ?", (host[0],)).fetchone()[0]
            condition_id = _condition_id(connection, condition)
            pool = connection.execute(
                "INSERT INTO pool (signature, condition, host, started, context) VALUES (?, ?, ?, ?, ?)",
                (signature, condition_id, host_id, time.time(), json.dumps(context or {})),
            ).lastrowid
            connection.executemany(
                "INSERT INTO op_call (key, outputs, writes) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE "
                "SET outputs = excluded.outputs, writes = excluded.writes WHERE outputs IS NULL",
                [(key, *traced.get(key, (None, None))) for key in dict.fromkeys(keys)],
            )
            connection.executemany(
                "INSERT INTO member (pool, position, op_call, condition, calls_per_sample) "
                "VALUES (?, ?, (SELECT id FROM op_call WHERE key = ?), ?, ?)",
                [(pool, i, key, condition_id, calls)
                 for i, (key, calls) in enumerate(zip(keys, calls_per_sample, strict=True))],
            )  # fmt: skip
        assert pool is not None
        return pool

    def name_configurations(self, configurations: Iterable[tuple[str, str, str]]) -> None:
        """Store the sweep configurations of op calls: (family, parameters as JSON, key of a call in a pool)."""
        with self.changing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO configuration VALUES (?, ?, (SELECT id FROM op_call WHERE key = ?))",
                list(configurations),
            )

    def add_rounds(self, pool: int, seconds: Samples, control_s: Samples, host_s: Samples | None) -> None:
        """Append finished rounds to a pool. They are on disk when this returns.

        Args:
            pool: the pool's number.
            seconds: seconds per call, rounds x positions.
            control_s: seconds of the control workload, by round.
            host_s: seconds of host work, rounds x kinds; None where the host was not sampled.

        Raises:
            ProfileError: the file cannot be written.
        """
        hosts: Sequence[bytes | None] = [None] * len(seconds) if host_s is None else [_blob(row) for row in host_s]
        with self.changing() as connection:
            connection.executemany(
                "INSERT INTO round "
                "VALUES (?, (SELECT coalesce(max(number) + 1, 0) FROM round WHERE pool = ?), ?, ?, ?)",
                [(pool, pool, _blob(row), float(control), host)
                 for row, control, host in zip(seconds, control_s, hosts, strict=True)],
            )  # fmt: skip

    def end_pool(self, pool: int, ended: str, reasons: Sequence[str], after: dict[str, Any]) -> None:
        """Record why sampling stopped, and the board's state afterwards.

        Args:
            pool: the pool's number.
            ended: why sampling of the pool stopped: "settled" or "time_cap".
            reasons: why sampling of each op call stopped, by position.
            after: JSON-ready data to add to the pool's context.

        Raises:
            ProfileError: the file cannot be written.
        """
        with self.changing() as connection:
            context = json.loads(connection.execute("SELECT context FROM pool WHERE id = ?", (pool,)).fetchone()[0])
            connection.execute(
                "UPDATE pool SET ended = ?, context = ? WHERE id = ?", (ended, json.dumps({**context, **after}), pool)
            )
            for reason in set(reasons):
                positions = [position for position, other in enumerate(reasons) if other == reason]
                connection.execute(
                    "UPDATE member SET reason = ? WHERE pool = ? AND position IN (SELECT value FROM json_each(?))",
                    (reason, pool, json.dumps(positions)),
                )

    def set_ceiling(self, name: str, size: int, threads: int, rate: float) -> None:
        """Store a ceiling. A higher rate that the profile has already is kept.

        Args:
            name: of the ceiling.
            size: bytes of the buffers; 0 where there are none.
            threads: the number of threads it was measured with.
            rate: per second.

        Raises:
            ProfileError: the file cannot be written.
        """
        with self.changing() as connection:
            connection.execute(
                "INSERT INTO ceiling VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET rate = max(rate, excluded.rate)",
                (name, size, threads, rate),
            )


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise ProfileError(f"{path} is a folder; name a file in it, such as {path / 'board.sqlite'}")


def _condition_id(connection: sqlite3.Connection, condition: Condition) -> int:
    row = (condition.timing, condition.device, condition.threads, condition.working_set)
    connection.execute(
        "INSERT OR IGNORE INTO condition (timing, device, threads, working_set) VALUES (?, ?, ?, ?)", row
    )
    row_id = connection.execute(
        "SELECT id FROM condition WHERE timing = ? AND device = ? AND threads = ? AND working_set = ?", row
    ).fetchone()
    return int(row_id[0])


def _newer_copy(old: sqlite3.Connection) -> sqlite3.Connection:
    """A copy of a profile with an older schema, converted in memory: a reader does not change the file."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    with old:
        old.backup(copy)
    old.close()
    schema.make_tables(copy)
    return copy
