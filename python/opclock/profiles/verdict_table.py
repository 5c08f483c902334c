"""The table of a comparison: one row an op call, with its verdict and the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from opclock.profiles.condition import Timing
from opclock.profiles.machine import Machine
from opclock.profiles.verdicts import EQUAL, Shift, judge

Setting = tuple[Timing, str, int]  # timing, device, threads


class Row(Protocol):
    """One op call that is compared."""

    @property
    def key(self) -> str:
        """The op call's."""

    @property
    def setting(self) -> Setting:
        """How it was timed."""

    @property
    def medians_s(self) -> tuple[float, float]:
        """Of the first and the second, in seconds."""

    @property
    def machine(self) -> Machine:
        """The machine's part of the difference."""

    @property
    def unresolved(self) -> bool:
        """Whether the clock saw no time pass in some sample, so that there is no ratio."""

    @property
    def identical(self) -> bool:
        """Whether both sides are the same samples."""

    @property
    def objection(self) -> str:
        """Why it cannot be judged; "" where it can."""

    def shift(self) -> Shift:
        """How the second differs from the first, without the machine's part."""


def judged_table(rows: Sequence[Row], names: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Judge all rows together.

    Args:
        rows: the op calls that are compared.
        names: by key: family and parameters of a sweep's configuration.

    Returns:
        One row an op call, in the same order. Columns: family and parameters (for calls of a sweep), op_call, timing,
        device, threads, first_s, second_s (medians in seconds), machine (how much slower the machine was in the
        second, by the control workloads; NaN where they are missing or the boards differ), ratio (second / first by
        their blocks, divided by machine), low and high (95 % interval of the ratio), verdict (same, faster, slower or
        undecided), reason.
    """
    judged = iter(_verdicts([row.shift() for row in rows if not row.unresolved]))
    return pd.DataFrame([
        _record(row, names.get(row.key, ("", "")), UNRESOLVED if row.unresolved else next(judged)) for row in rows
    ])  # fmt: skip


@dataclass(frozen=True)
class _Verdict:
    ratio: float
    low: float
    high: float
    word: str


UNRESOLVED = _Verdict(float("nan"), float("nan"), float("nan"), "undecided")


def _verdicts(shifts: list[Shift]) -> list[_Verdict]:
    if not shifts:
        return []
    judged = judge(shifts)
    values = np.exp(np.column_stack([[shift.value for shift in shifts], judged.low, judged.high]))
    return [_Verdict(float(row[0]), float(row[1]), float(row[2]), word)
            for row, word in zip(values, judged.words, strict=True)]  # fmt: skip


def _record(row: Row, name: tuple[str, str], verdict: _Verdict) -> dict[str, Any]:
    word, reason = _explained(row, verdict)
    timing, device, threads = row.setting
    return {
        "family": name[0], "parameters": name[1], "op_call": row.key, "timing": timing, "device": device,
        "threads": threads, "first_s": row.medians_s[0], "second_s": row.medians_s[1],
        "machine": float(np.exp(row.machine.shift)) if row.machine.known else float("nan"),
        "ratio": verdict.ratio, "low": verdict.low, "high": verdict.high,
        "verdict": word, "reason": reason,
    }  # fmt: skip


def _explained(row: Row, verdict: _Verdict) -> tuple[str, str]:
    """The verdict's word, and its reason in plain words."""
    if row.unresolved:
        return "undecided", "the clock saw no time pass"
    if row.identical:
        return "same", "both are the same measurement"
    if row.objection:
        return "undecided", row.objection
    half = f"{(verdict.high - verdict.low) / 2:.1%}"
    if verdict.word == "same":
        return "same", f"within {EQUAL:.0%}{row.machine.note}"
    if verdict.word == "undecided":
        return "undecided", f"known to ± {half} only{row.machine.note}"
    return verdict.word, f"more than chance explains (± {half}){row.machine.note}"
