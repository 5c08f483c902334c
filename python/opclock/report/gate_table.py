"""The table of a gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opclock.formatting import SECONDS, counted, percent
from opclock.report.table import Table, numbers, ready, texts

if TYPE_CHECKING:
    from opclock.gating.result import Gate

VERDICTS = ("slower", "faster", "same", "undecided")


def table(gate: Gate) -> Table:
    """One row a model."""
    rows = gate.rows
    return Table([
        texts("model", [row.model for row in rows]),
        numbers("base", [row.seconds[0] for row in rows], SECONDS, 2),
        numbers("head", [row.seconds[1] for row in rows], SECONDS, 3),
        ready("slower by", [percent(row.ratio - 1, signed=True) for row in rows]),
        ready("95 % interval", [_interval(row.interval) for row in rows], priority=1),
        ready("A/A floor", [percent(row.floor) for row in rows], priority=4),
        texts("verdict", [row.verdict.word for row in rows]),
        texts("reason", [row.verdict.reason for row in rows], priority=5),
    ], title(gate))  # fmt: skip


def title(gate: Gate) -> str:
    """Both sides, and how they were run."""
    base, head = (
        f"{side}, torch {versions['torch']}" for side, versions in zip(gate.sides, gate.versions, strict=True)
    )
    return f"base: {base}; head: {head}; {counted(gate.threads, 'thread')}: {gate.board['identity']}"


def _interval(ends: Sequence[float]) -> str:
    low, high = (percent(ratio - 1, signed=True) for ratio in ends)
    return f"[{low}, {high}]"


def conclusion(gate: Gate) -> str:
    """How many models have each verdict, and what that means for the gate."""
    words = [row.verdict.word for row in gate.rows]
    listed = ", ".join(f"{words.count(word)} {word}" for word in VERDICTS if word in words)
    floors = [row.floor for row in gate.rows]
    worst = "" if len(floors) == 1 else "up to "
    return (
        f"{counted(len(words), 'model')}: {listed}. Equal processes differ by {worst}{percent(max(floors))} here; a "
        f"slowdown of {percent(gate.max_slowdown)} is allowed. The gate is {'closed' if gate.slower else 'open'}."
    )
