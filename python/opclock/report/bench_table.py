"""The table of a bench."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opclock.benchmarking.result import PERCENTILES
from opclock.formatting import BYTES, COUNT, SECONDS, digits, speedup
from opclock.report.table import Column, Table, numbers, ready, texts

if TYPE_CHECKING:
    import pandas as pd


def table(frame: pd.DataFrame, title: str, percentiles: Sequence[float] = PERCENTILES) -> Table:
    """The table of those rows of Bench.to_frame that have times."""
    rows = frame[frame["status"] == "ok"]

    def seconds(name: str, column: str, priority: int) -> Column:
        return numbers(name, list(rows[column]), SECONDS, priority)

    return Table([
        texts("runtime", list(rows["runtime"])),
        seconds("min", "min_s", 1),
        seconds("median", "median_s", 0),
        seconds("mean", "mean_s", 7),
        *(seconds(f"p{percent:g}", f"p{percent:g}_s", 2 if percent == max(percentiles) else 8)
          for percent in percentiles),
        seconds("max", "max_s", 6),
        ready("items/s", [digits(value) for value in rows["throughput_per_s"]], 3),
        ready("speedup", [speedup(value) for value in rows["speedup"]]),
        seconds("convert", "convert_s", 6),
        seconds("load", "load_s", 6),
        seconds("first run", "first_run_s", 5),
        numbers("peak memory", list(rows["peak_bytes"]), BYTES, 4),
        numbers("runs", list(rows["runs"]), COUNT, 5),
        texts("flags", list(rows["flags"]), 2),
    ], title)  # fmt: skip


def failures(frame: pd.DataFrame) -> list[str]:
    """One line for each row without times."""
    without = frame[frame["status"] != "ok"]
    return [f"{row.runtime}: {row.status}: {row.reason}" for row in without.itertuples()]
