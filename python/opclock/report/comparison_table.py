"""The table of a comparison of two profiles."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from opclock.formatting import SECONDS, counted
from opclock.report.table import Table, numbers, ready, texts
from opclock.tracing.op_call import OpCall

if TYPE_CHECKING:
    import pandas as pd

MAX_SHOWN = 40  # rows in the table: those that differ most
VERDICTS = ("same", "faster", "slower", "undecided")


def table(frame: pd.DataFrame, title: str) -> Table:
    """The table of the rows that differ most."""
    away = (frame["ratio"] - 1).abs().sort_values(ascending=False).index[:MAX_SHOWN]
    rows = frame.loc[away]
    names = [
        f"{family} {parameters}" if family else str(OpCall.from_json(json.loads(key)))
        for family, parameters, key in zip(rows["family"], rows["parameters"], rows["op_call"], strict=True)
    ]
    return Table([
        texts("op call", names),
        ready("threads", [str(count) for count in rows["threads"]], priority=4),
        texts("device", list(rows["device"]), priority=5),
        numbers("first", list(rows["first_s"]), SECONDS, 2),
        numbers("second", list(rows["second_s"]), SECONDS, 3),
        ready("ratio", [_ratio(value) for value in rows["ratio"]]),
        ready("95 % interval", [f"[{_ratio(low)}, {_ratio(high)}]" for low, high in zip(
            rows["low"], rows["high"], strict=True)], priority=1),
        texts("verdict", list(rows["verdict"])),
        texts("reason", list(rows["reason"]), priority=4),
    ], title)  # fmt: skip


def _ratio(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def counts(frame: pd.DataFrame) -> str:
    """Say how many op calls have each verdict."""
    by_verdict = frame["verdict"].value_counts()
    listed = ", ".join(f"{by_verdict.get(word, 0)} {word}" for word in VERDICTS)
    hidden = f" (the {MAX_SHOWN} that differ most are shown)" if len(frame) > MAX_SHOWN else ""
    return f"{counted(len(frame), 'op call')}{hidden}: {listed}; median ratio {frame['ratio'].median():.3f}"
