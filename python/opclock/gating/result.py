"""What a gate found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from opclock.flags import Flag
from opclock.gating.sampling import ModelRuns
from opclock.gating.sides import Side
from opclock.gating.verdicts import Difference, Levels, Verdict, judge

SCHEMA = "opclock.gate/1"


@dataclass(frozen=True)
class GateRow:
    """One model.

    Attributes:
        model: as the user named it.
        processes_s: the fast quantile of the runs of each process (``sampling.FAST``): of the base, and of the head.
        difference: in logarithms of time.
        verdict: with its reason.
        flags: what was unusual.
        runs: of all processes.
        disturbed: how many of them other programs disturbed.
    """

    model: str
    processes_s: tuple[tuple[float, ...], tuple[float, ...]]
    difference: Difference
    verdict: Verdict
    flags: tuple[Flag, ...]
    runs: int
    disturbed: int

    @property
    def seconds(self) -> tuple[float, float]:
        """Of the base and of the head: the geometric mean of the processes."""
        base, head = (float(np.exp(np.mean(np.log(one)))) for one in self.processes_s)
        return base, head

    @property
    def ratio(self) -> float:
        """The time of the head / that of the base."""
        return math.exp(self.difference.shift)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the ratio."""
        one = self.difference
        return math.exp(one.shift - one.half_width), math.exp(one.shift + one.half_width)

    @property
    def floor(self) -> float:
        """The A/A floor as a fraction: by so much do equal processes differ."""
        return math.expm1(self.difference.floor)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        (base_s, head_s), (low, high) = self.seconds, self.interval
        base, head = self.processes_s
        return {
            "model": self.model, "base_s": base_s, "head_s": head_s, "ratio": self.ratio, "low": low, "high": high,
            "floor": self.floor, "verdict": self.verdict.word, "reason": self.verdict.reason,
            "processes": {"base_s": list(base), "head_s": list(head)}, "runs": self.runs, "disturbed": self.disturbed,
            "flags": list(self.flags),
        }  # fmt: skip


@dataclass(frozen=True)
class Gate:
    """All models of a gate.

    Attributes:
        sides: base and head.
        versions: of Python and torch, of both sides.
        threads: PyTorch's.
        max_slowdown: that is allowed, a fraction.
        board: what was measured on.
        rows: one for each model.
    """

    sides: tuple[Side, Side]
    versions: tuple[dict[str, str], dict[str, str]]
    threads: int
    max_slowdown: float
    board: dict[str, Any]
    rows: tuple[GateRow, ...]

    @property
    def slower(self) -> tuple[str, ...]:
        """The models that are slower: the gate is closed."""
        return tuple(row.model for row in self.rows if row.verdict.word == "slower")

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        base, head = ({**side.to_json(), **versions} for side, versions in zip(self.sides, self.versions, strict=True))
        return {
            "schema": SCHEMA, "board": self.board, "base": base, "head": head, "threads": self.threads,
            "max_slowdown": self.max_slowdown, "slower": list(self.slower),
            "rows": [row.to_json() for row in self.rows],
        }  # fmt: skip


def judged_rows(models: Sequence[str], runs: Sequence[ModelRuns], max_slowdown: float) -> tuple[GateRow, ...]:
    """Judge what the processes measured.

    Args:
        models: their names.
        runs: of each.
        max_slowdown: a fraction.

    Returns:
        One row a model.
    """
    levels = [[Levels(one.side, one.wave, one.level) for one in model_runs.processes] for model_runs in runs]
    differences = [Difference.of(processes) for processes in levels]
    verdicts = judge(differences, max_slowdown)
    rows = []
    for model, model_runs, processes, difference, verdict in zip(
        models, runs, levels, differences, verdicts, strict=True
    ):
        base, head = (tuple(math.exp(one.level) for one in processes if one.side == side) for side in (0, 1))
        measured = model_runs.processes
        flags: tuple[Flag, ...] = ("contended",) if any(one.contended for one in measured) else ()
        count, disturbed = sum(one.seconds.size for one in measured), sum(one.disturbed for one in measured)
        rows.append(GateRow(model, (base, head), difference, verdict, flags, count, disturbed))
    return tuple(rows)
