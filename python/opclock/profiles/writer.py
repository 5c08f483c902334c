"""Writing measurements into an open profile."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from opclock.errors import ProfileError
from opclock.files import json_text
from opclock.profiles.condition import Condition
from opclock.profiles.database_errors import as_profile_errors
from opclock.profiles.disturbance import Readings
from opclock.profiles.owner import is_running, this_process
from opclock.profiles.reader import ProfileReader
from opclock.profiles.statistics import Samples
from opclock.tracing.op_call import encode
from opclock.tracing.trace import TracedCall


class ProfileWriter(ProfileReader):
    """Changes of an open profile. What a method wrote is on disk when it returns.

    Attributes:
        owner: the process whose pools it writes, as ``owner.py`` names it.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        super().__init__(path, connection)
        self.owner = this_process()

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
            signature: equal for the same op calls in the same order, timed alike, so that an interrupted pool is found
                again.
            calls: the op calls with their outputs; predictors learn only from calls that are given here.
            host: the host's key and the kinds of its work, where it is sampled too.
            context: the clock, the seed and the board's state before the rounds, as JSON-ready data.

        Returns:
            The pool's number.

        Raises:
            ProfileError: the file cannot be written.
        """
        traced = {one.call.key: (json_text(encode(one.outputs)), bool(one.writes)) for one in calls}
        with self.changing() as connection:
            host_id = None
            if host is not None:
                connection.execute("INSERT OR IGNORE INTO host (key, kinds) VALUES (?, ?)",
                                   (host[0], json_text(list(host[1]))))  # fmt: skip
                host_id = connection.execute("SELECT id FROM host WHERE key = ?", (host[0],)).fetchone()[0]
            condition_id = _condition_id(connection, condition)
            started = _next_start(connection)
            pool = connection.execute(
                "INSERT INTO pool (signature, condition, host, started, context, owner, heartbeat) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (signature, condition_id, host_id, started, json_text(context or {}), self.owner, time.time()),
            ).lastrowid
            connection.executemany(
                "INSERT INTO op_call (key, outputs, writes) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE "
                "SET outputs = excluded.outputs, writes = excluded.writes WHERE outputs IS NULL",
                [(key, *traced.get(key, (None, None))) for key in dict.fromkeys(keys)],
            )
            connection.executemany(
                "INSERT INTO member (pool, position, op_call, condition, calls_per_sample, started) "
                "VALUES (?, ?, (SELECT id FROM op_call WHERE key = ?), ?, ?, ?)",
                [(pool, i, key, condition_id, calls, started)
                 for i, (key, calls) in enumerate(zip(keys, calls_per_sample, strict=True))],
            )  # fmt: skip
        assert pool is not None
        return pool

    def resume_pool(self, condition: Condition, signature: str) -> int | None:
        """Take over the newest interrupted pool with this condition and signature.

        A pool that another process samples now is not taken.

        Returns:
            The pool's number, or None where there is none.

        Raises:
            ProfileError: the file cannot be written.
        """
        with self.changing() as connection:
            unfinished = connection.execute(
                "SELECT p.id, p.owner, p.heartbeat FROM pool p JOIN condition c ON c.id = p.condition "
                "WHERE p.signature = ? AND c.timing = ? AND c.device = ? AND c.threads = ? AND c.working_set = ? "
                "AND p.ended = '' ORDER BY p.started DESC, p.id DESC",
                (signature, condition.timing, condition.device, condition.threads, condition.working_set),
            ).fetchall()
            for pool, owner, heartbeat in unfinished:
                if owner == self.owner or not is_running(owner, heartbeat):
                    connection.execute(
                        "UPDATE pool SET owner = ?, heartbeat = ? WHERE id = ?", (self.owner, time.time(), pool)
                    )
                    return int(pool)
        return None

    def name_configurations(self, configurations: Iterable[tuple[str, str, str]]) -> None:
        """Store the sweep configurations of op calls: (family, parameters as JSON, key of a call in a pool)."""
        with self.changing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO configuration VALUES (?, ?, (SELECT id FROM op_call WHERE key = ?))",
                list(configurations),
            )

    def add_rounds(
        self, pool: int, seconds: Samples, control_s: Samples, host_s: Samples | None,
        readings: Readings | None = None, *, controls: Mapping[str, float] | None = None, process: int = 0,
    ) -> None:  # fmt: skip
        """Append a block of finished rounds to a pool. They are on disk when this returns.

        Args:
            pool: the pool's number.
            seconds: seconds per call, rounds x positions.
            control_s: seconds of the control workload, by round.
            host_s: seconds of host work, rounds x kinds; None where the host was not sampled.
            readings: what the kernel said about each round; None where it was not asked.
            controls: seconds of the control workloads that were sampled at this block, by name.
            process: the number of the process that took them, from 1, where several take turns; 0 where one does all.

        Raises:
            ProfileError: the file cannot be written, or another process took the pool over.
        """
        count = len(seconds)
        hosts: Sequence[bytes | None] = [None] * count if host_s is None else [_blob(row) for row in host_s]
        readings = Readings.unknown(count) if readings is None else readings
        known = (readings.wall_s, readings.wait_s, readings.switches, readings.cpu_s, readings.steal_s, readings.faults)
        with self.changing() as connection:
            self._beat(connection, pool)
            last = connection.execute(
                "SELECT number, block FROM round WHERE pool = ? ORDER BY number DESC LIMIT 1", (pool,)
            ).fetchone()
            number, block = (last[0] + 1, last[1] + 1) if last else (0, 0)
            connection.executemany(
                "INSERT INTO round (pool, number, seconds, anchor_s, host, block, process, wall_s, wait_s, switches, "
                "cpu_s, steal_s, faults) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # NaN is stored as NULL
                [(pool, number + i, _blob(row), float(control), host, block, process,
                  *(float(values[i]) for values in known))
                 for i, (row, control, host) in enumerate(zip(seconds, control_s, hosts, strict=True))],
            )  # fmt: skip
            connection.executemany(
                "INSERT INTO control (pool, block, name, seconds) VALUES (?, ?, ?, ?)",
                [(pool, block, name, float(value)) for name, value in (controls or {}).items()],
            )

    def _beat(self, connection: sqlite3.Connection, pool: int) -> None:
        """Note that the owner is sampling the pool. Raises ProfileError where the pool is no longer its own."""
        beaten = connection.execute(
            "UPDATE pool SET heartbeat = ? WHERE id = ? AND owner = ?", (time.time(), pool, self.owner)
        )
        if beaten.rowcount == 0:
            raise ProfileError(
                f"pool {pool} of {self.path} is no longer this process's: another one continued or removed it after a "
                "pause of minutes; measure again"
            )

    def end_pool(self, pool: int, ended: str, reasons: Sequence[str], after: dict[str, Any]) -> None:
        """Record why sampling stopped, and the board's state afterwards.

        Args:
            pool: the pool's number.
            ended: why sampling of the pool stopped: "settled", "time_cap" or "contended" (it is to be measured again).
            reasons: why sampling of each op call stopped, by position.
            after: JSON-ready data to add to the pool's context.

        Raises:
            ProfileError: the file cannot be written, or another process took the pool over.
        """
        with self.changing() as connection:
            self._beat(connection, pool)
            context = json.loads(connection.execute("SELECT context FROM pool WHERE id = ?", (pool,)).fetchone()[0])
            connection.execute(
                "UPDATE pool SET ended = ?, context = ? WHERE id = ?", (ended, json_text({**context, **after}), pool)
            )
            for reason in set(reasons):
                positions = [position for position, other in enumerate(reasons) if other == reason]
                connection.execute(
                    "UPDATE member SET reason = ? WHERE pool = ? AND position IN (SELECT value FROM json_each(?))",
                    (reason, pool, json_text(positions)),
                )

    def annotate_pool(self, pool: int, facts: dict[str, Any]) -> None:
        """Add JSON-ready data to a pool's context. Raises ProfileError where the file cannot be written."""
        with self.changing() as connection:
            context = json.loads(connection.execute("SELECT context FROM pool WHERE id = ?", (pool,)).fetchone()[0])
            connection.execute("UPDATE pool SET context = ? WHERE id = ?", (json_text({**context, **facts}), pool))

    def add_ceiling(self, name: str, size: int, threads: int, rate: float) -> None:
        """Store one sample of a ceiling, with the time.

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
                "INSERT OR REPLACE INTO ceiling VALUES (?, ?, ?, ?, ?)", (name, size, threads, time.time(), rate)
            )


def _next_start(connection: sqlite3.Connection) -> float:
    """Seconds since 1970, but after every pool of the file: a board without a clock's battery goes back in time."""
    newest = connection.execute("SELECT max(started) FROM pool").fetchone()[0]
    return time.time() if newest is None else max(time.time(), math.nextafter(newest, math.inf))


def _condition_id(connection: sqlite3.Connection, condition: Condition) -> int:
    row = (condition.timing, condition.device, condition.threads, condition.working_set)
    connection.execute(
        "INSERT OR IGNORE INTO condition (timing, device, threads, working_set) VALUES (?, ?, ?, ?)", row
    )
    row_id = connection.execute(
        "SELECT id FROM condition WHERE timing = ? AND device = ? AND threads = ? AND working_set = ?", row
    ).fetchone()
    return int(row_id[0])


def _blob(values: Samples) -> bytes:
    return np.ascontiguousarray(values, dtype="<f8").tobytes()
