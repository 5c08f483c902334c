"""Queries on a profile: those on its pools, and on its board, ceilings, conditions and sweeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from opclock.errors import ProfileError
from opclock.files import json_text
from opclock.profiles.condition import Condition
from opclock.profiles.damage import SYMPTOMS
from opclock.profiles.pool_reader import PoolReader


@dataclass(frozen=True)
class Ceiling:
    """The rate per second that the board reaches undisturbed, for buffers of this many bytes (0: no buffers)."""

    name: str
    nbytes: int
    threads: int
    rate: float


class ProfileReader(PoolReader):
    """Queries on an open profile."""

    def state(self) -> str:
        """A text that changes whenever something is measured into the profile or removed from it."""
        pools = self.ask("SELECT count(*), max(id), max(started), max(heartbeat) FROM pool")
        return json_text([*pools[0], *self.ask("SELECT count(*), max(taken) FROM ceiling")[0]])

    def board(self) -> dict[str, Any]:
        """The description of the board, as JSON-ready data. Raises ProfileError where it is damaged."""
        try:
            facts = dict(json.loads(self.ask("SELECT facts FROM board")[0][0]))
            str(facts["identity"])
        except SYMPTOMS as error:
            raise ProfileError(
                f"the profile {self.path} is damaged (board): restore a copy, or measure into another file"
            ) from error
        return facts

    def ceiling(self, name: str, size: int, threads: int) -> float | None:
        """The rate of a ceiling per second, or None."""
        rows = self.ask("SELECT rate FROM ceiling WHERE name = ? AND bytes = ? AND threads = ?", name, size, threads)
        return _ceiling_rate([row[0] for row in rows]) if rows else None

    def ceilings(self, threads: int) -> list[Ceiling]:
        """All ceilings with this number of threads, ordered by name and bytes."""
        rows = self.ask("SELECT name, bytes, rate FROM ceiling WHERE threads = ? ORDER BY name, bytes", threads)
        return [
            Ceiling(name, size, threads, _ceiling_rate([row[2] for row in samples]))
            for (name, size), samples in groupby(rows, key=lambda row: row[:2])
        ]

    def configurations(self, family: str | None = None) -> list[tuple[str, str, str]]:
        """All sweep configurations, or those of one family: (family, parameters as JSON, key of the op call)."""
        return self.ask(
            "SELECT c.family, c.parameters, o.key FROM configuration c JOIN op_call o ON o.id = c.op_call "
            "WHERE ? IS NULL OR c.family = ? ORDER BY o.id",
            family, family,
        )  # fmt: skip

    def conditions(self) -> list[Condition]:
        """All conditions with measurements."""
        rows = self.ask("SELECT timing, device, threads, working_set FROM condition ORDER BY id")
        return [Condition(*row) for row in rows]


def _ceiling_rate(rates: Sequence[float]) -> float:
    """Derive a ceiling from its samples: the upper quartile, taken from the samples themselves.

    Disturbances only slow a board down, so the high end is near the truth. The maximum would keep one wrong sample for
    ever; here up to a quarter of the samples may be too high.
    """
    return float(sorted(rates)[3 * (len(rates) - 1) // 4])
