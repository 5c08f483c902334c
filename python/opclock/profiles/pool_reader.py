"""Queries on a profile about its pools and op calls. Their cost depends on the result, not on the profile's size."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from opclock.errors import ProfileError
from opclock.files import json_text
from opclock.profiles.condition import Condition, Timing
from opclock.profiles.damage import SYMPTOMS
from opclock.profiles.database_errors import as_profile_errors
from opclock.profiles.memory import Memory
from opclock.profiles.owner import is_running
from opclock.profiles.pool import Pool
from opclock.profiles.pool_rows import pool_of_rows
from opclock.profiles.schema import FINISHED
from opclock.profiles.statistics import Samples
from opclock.tracing.macs import bytes_per_call
from opclock.tracing.op_call import OpCall, decode
from opclock.tracing.trace import TracedCall

T = TypeVar("T")

NEWEST = 3  # pools of one condition to consider for one op call: one of them may hold more of the model's
_WITH_HOST = (
    "SELECT p.id, json_extract(p.context, '$.bytes_per_call') FROM pool p JOIN condition c ON c.id = p.condition "
    "WHERE p.host IS NOT NULL AND c.device = ? AND c.threads = ? "
    "AND EXISTS (SELECT 1 FROM round WHERE round.pool = p.id)"
)
_OF = "c.timing = ? AND c.device = ? AND c.threads = ?"


@dataclass(frozen=True)
class PoolMatch:
    """A pool that contains a wanted op call."""

    key: str
    pool: int
    working_set: int
    ended: bool
    started: float  # seconds since 1970


class PoolReader:
    """Queries on the pools of an open profile."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._memory = Memory()

    def ask(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401
        """Return all rows of an SQL query. Raises ProfileError where the file is damaged."""
        with as_profile_errors(self.path):
            return self._connection.execute(query, parameters).fetchall()

    def remembered(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` returned for this key, as long as nothing in the file has changed since."""
        state = (int(self.ask("PRAGMA data_version")[0][0]), self._connection.total_changes)
        return self._memory.remembered(state, key, make)

    def pool_matches(self, timing: Timing, device: str, threads: int, keys: Iterable[str]) -> list[PoolMatch]:
        """Find the newest pools with rounds of these op calls, for each op call and working set.

        The newest comes last. The newest that is finished is among them.
        """
        rows = self.ask(
            f"SELECT DISTINCT o.key, p.id, c.working_set, p.ended IN {FINISHED}, p.started FROM json_each(?) wanted "
            f"CROSS JOIN op_call o ON o.key = wanted.value CROSS JOIN condition c ON {_OF} "
            "CROSS JOIN pool p ON p.id IN (SELECT pool FROM member WHERE op_call = o.id AND condition = c.id "
            f"GROUP BY started, pool ORDER BY started DESC, pool DESC LIMIT {NEWEST}) "
            "OR p.id = (SELECT m.pool FROM member m JOIN pool q ON q.id = m.pool WHERE m.op_call = o.id "
            f"AND m.condition = c.id AND q.ended IN {FINISHED} ORDER BY m.started DESC, m.pool DESC LIMIT 1) "
            "WHERE EXISTS (SELECT 1 FROM round WHERE round.pool = p.id) ORDER BY p.started, p.id",
            json_text(list(keys)), timing, device, threads,
        )  # fmt: skip
        return [PoolMatch(key, pool, size, bool(ended), started) for key, pool, size, ended, started in rows]

    def count_op_calls(self, keys: Iterable[str], device: str, timings: Sequence[Timing]) -> dict[int, int]:
        """By number of threads: how many of these op calls have rounds on this device in any of these timings."""
        rows = self.ask(
            "SELECT threads, count(DISTINCT op_call) FROM (SELECT c.threads AS threads, o.id AS op_call "
            "FROM json_each(?) wanted JOIN op_call o ON o.key = wanted.value "
            "JOIN condition c ON c.device = ? AND c.timing IN (SELECT value FROM json_each(?)) "
            "WHERE EXISTS (SELECT 1 FROM member m WHERE m.op_call = o.id AND m.condition = c.id "
            "AND EXISTS (SELECT 1 FROM round WHERE round.pool = m.pool))) GROUP BY threads",
            json_text(list(keys)), device, json_text(list(timings)),
        )  # fmt: skip
        return {int(threads): int(count) for threads, count in rows}

    def pools(
        self, timings: Sequence[Timing], device: str, threads: int, *, ended: bool = False, most: int = -1
    ) -> list[int]:
        """Numbers of pools with rounds in these timings, newest first; optionally only ended ones, at most ``most``."""
        marks = ",".join("?" * len(timings))
        rows = self.ask(
            # The newest are looked at first, in the order of the index by time: a sweep's pools are the most of a file.
            "SELECT p.id FROM pool p CROSS JOIN condition c ON c.id = p.condition WHERE c.device = ? AND c.threads = ? "
            f"AND c.timing IN ({marks}) AND (p.ended IN {FINISHED} OR NOT ?) "
            "AND EXISTS (SELECT 1 FROM round WHERE round.pool = p.id) ORDER BY p.started DESC, p.id DESC LIMIT ?",
            device, threads, *timings, ended, most,
        )  # fmt: skip
        return [int(row[0]) for row in rows]

    def model_pools(self, name: str | None = None) -> list[int]:
        """Numbers of the pools of models whose host was played, newest first; with a name, those of that model."""
        rows = self.ask(
            "SELECT p.id FROM pool p JOIN condition c ON c.id = p.condition WHERE p.host IS NOT NULL "
            "AND c.timing = 'in_model' AND EXISTS (SELECT 1 FROM round WHERE round.pool = p.id) "
            "AND (?1 IS NULL OR json_extract(p.context, '$.model.name') = ?1) ORDER BY p.started DESC, p.id DESC",
            name,
        )
        return [int(row[0]) for row in rows]

    def finished_networks(self, device: str, threads: int) -> set[str]:
        """The names of a sweep's random networks that were timed to the end."""
        rows = self.ask(
            "SELECT json_extract(p.context, '$.model.name') FROM pool p JOIN condition c ON c.id = p.condition "
            f"WHERE c.timing = 'in_network' AND c.device = ? AND c.threads = ? AND p.ended IN {FINISHED}",
            device, threads,
        )  # fmt: skip
        return {str(row[0]) for row in rows}

    def finished_op_calls(self, timings: Sequence[Timing]) -> list[tuple[str, int, str]]:
        """All op calls with a finished measurement in one of these timings: (device, threads, key)."""
        return self.ask(
            "SELECT DISTINCT c.device, c.threads, o.key FROM condition c JOIN member m ON m.condition = c.id "
            "JOIN pool p ON p.id = m.pool JOIN op_call o ON o.id = m.op_call "
            f"WHERE c.timing IN (SELECT value FROM json_each(?)) AND p.ended IN {FINISHED} "
            "AND EXISTS (SELECT 1 FROM round WHERE round.pool = p.id) ORDER BY c.device, c.threads, o.id",
            json_text(list(timings)),
        )

    def measured_elsewhere(self, keys: Iterable[str]) -> tuple[int, float] | None:
        """Another process that is timing one of these op calls now: its PID, and when its pool began (since 1970)."""
        rows = self.ask(
            "SELECT DISTINCT p.owner, p.heartbeat, p.started FROM json_each(?) wanted "
            "JOIN op_call o ON o.key = wanted.value JOIN member m ON m.op_call = o.id JOIN pool p ON p.id = m.pool "
            "WHERE p.ended = '' ORDER BY p.started", json_text(list(keys))
        )  # fmt: skip
        for owner, heartbeat, started in rows:
            if is_running(owner, heartbeat):
                return int(owner.rsplit(":", 2)[1]), float(started)
        return None

    def pools_with_host(self, condition: Condition, host_key: str, most: int) -> list[int]:
        """Find pools with the host work of one model on the condition's device, with its number of threads.

        Args:
            condition: gives device, threads and working set.
            host_key: the host's.
            most: the largest number of pools to return.

        Returns:
            Numbers of pools: the nearest working set first, then ended before interrupted, then the newest.
        """
        rows = self.ask(
            f"{_WITH_HOST} AND p.host = (SELECT id FROM host WHERE key = ?) "
            f"ORDER BY abs(c.working_set - ?), p.ended NOT IN {FINISHED}, p.started DESC, p.id DESC LIMIT ?",
            *_parts(condition)[1:3], host_key, condition.working_set, most,
        )  # fmt: skip
        return [int(row[0]) for row in rows]

    def bytes_between_host(self, condition: Condition, most: int) -> list[tuple[int, float]]:
        """How much the op calls move between pieces of host work.

        Args:
            condition: gives device and threads.
            most: how many pools with host work.

        Returns:
            The newest pools, ended before interrupted: the number, and the mean bytes of one of its op calls.
        """
        rows = self.ask(
            f"{_WITH_HOST} ORDER BY p.ended NOT IN {FINISHED}, p.started DESC, p.id DESC LIMIT ?",
            *_parts(condition)[1:3], most,
        )  # fmt: skip
        return [(int(number), self._bytes_per_call(number) if known is None else known) for number, known in rows]

    def _bytes_per_call(self, pool: int) -> float:
        """The same of a pool of an older version, which does not name it."""
        keys = self.ask("SELECT o.key FROM member JOIN op_call o ON o.id = member.op_call WHERE pool = ?", pool)
        calls = self.traced(key for (key,) in keys)
        return bytes_per_call([calls[key] for (key,) in keys if key in calls])

    def measured(self, condition: Condition, keys: Iterable[str]) -> set[str]:
        """Which of these op calls have an ended pool with exactly this condition."""
        matches = self.pool_matches(condition.timing, condition.device, condition.threads, keys)
        return {one.key for one in matches if one.ended and one.working_set == condition.working_set}

    def contended(self, condition: Condition, keys: Iterable[str]) -> set[str]:
        """Which of these op calls have only measurements with exactly this condition that other programs disturbed."""
        rows = self.ask(
            "SELECT DISTINCT o.key FROM json_each(?) wanted JOIN op_call o ON o.key = wanted.value "
            f"JOIN condition c ON {_OF} AND c.working_set = ? JOIN member m ON m.op_call = o.id AND m.condition = c.id "
            "JOIN pool p ON p.id = m.pool WHERE p.ended = 'contended'",
            json_text(list(keys)), *_parts(condition),
        )  # fmt: skip
        return {row[0] for row in rows} - self.measured(condition, keys)

    def host_keys(self, program: str) -> list[str]:
        """The keys of all host work with this program, whatever its code; see ``estimation.host_keys``."""
        rows = self.ask(
            "SELECT key FROM host WHERE key = ? OR key BETWEEN ? AND ?", program, f"{program}:", f"{program};"
        )
        return [row[0] for row in rows]

    def host_measured(self, condition: Condition, host_key: str) -> bool:
        """Whether an ended pool with exactly this condition has this host's work."""
        return bool(
            self.ask(
                "SELECT 1 FROM pool p JOIN host h ON h.id = p.host JOIN condition c ON c.id = p.condition "
                f"WHERE h.key = ? AND p.ended IN {FINISHED} AND {_OF} AND c.working_set = ? LIMIT 1",
                host_key, *_parts(condition),
            )
        )  # fmt: skip

    def pool(self, number: int, *, all_rounds: bool = False) -> Pool:
        """Read one pool.

        Args:
            number: the pool's number.
            all_rounds: whether to return disturbed rounds too.

        Returns:
            The pool with its clean rounds; with fewer than ``MIN_CLEAN`` of them, those that were disturbed least. A
            round about which the kernel said nothing counts as clean.

        Raises:
            ProfileError: the file is damaged.
        """
        return pool_of_rows(self.path, self.ask, number, all_rounds=all_rounds)

    def pools_with_controls(self, threads: int, most: int) -> list[int]:
        """The newest pools on the CPU that sampled control workloads, the newest first.

        Args:
            threads: PyTorch's.
            most: how many pools.
        """
        rows = self.ask(
            "SELECT p.id FROM pool p JOIN condition c ON c.id = p.condition WHERE c.threads = ? AND c.device = 'cpu' "
            "AND EXISTS (SELECT 1 FROM control WHERE control.pool = p.id) ORDER BY p.started DESC LIMIT ?",
            threads, most,
        )  # fmt: skip
        return [int(row[0]) for row in rows]

    def control_seconds(self, pools: Sequence[int]) -> list[dict[str, Samples]]:
        """The control workloads of pools.

        Args:
            pools: their numbers.

        Returns:
            For each pool that sampled them: seconds by the control workload's name.
        """
        rows = self.ask(
            "SELECT pool, name, seconds FROM json_each(?) wanted JOIN control ON pool = wanted.value", json_text(pools)
        )
        found: dict[int, dict[str, list[float]]] = {}
        for pool, name, seconds in rows:
            found.setdefault(pool, {}).setdefault(name, []).append(seconds)
        return [{name: np.array(values) for name, values in one.items()} for one in found.values()]

    def traced(self, keys: Iterable[str]) -> dict[str, TracedCall]:
        """The op calls that were stored with outputs, by key. Of their storages, only whether they write is known."""
        rows = self.ask(
            "SELECT o.key, o.outputs, o.writes FROM json_each(?) wanted JOIN op_call o ON o.key = wanted.value "
            "WHERE o.outputs IS NOT NULL",
            json_text(list(keys)),
        )
        try:
            return {
                key: TracedCall(
                    OpCall.from_json(json.loads(key)), decode(json.loads(outputs)), (), (0,) if writes else ()
                )
                for key, outputs, writes in rows
            }
        except SYMPTOMS as error:
            raise ProfileError(f"the profile {self.path} is damaged (op calls): restore a copy") from error


def _parts(condition: Condition) -> tuple[str, str, int, int]:
    return condition.timing, condition.device, condition.threads, condition.working_set
