"""What a person reads of a bench: milliseconds, items a second, megabytes."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from opclock.benchmarking.result import PERCENTILES


def milliseconds(values: pd.Series) -> pd.Series:
    """Three digits and more; "" for none."""
    return values.map(lambda value: "" if pd.isna(value) else f"{value * 1e3:.2f}")


def shown(frame: pd.DataFrame, percentiles: Sequence[float] = PERCENTILES) -> pd.DataFrame:
    """The rows of Bench.to_frame that have numbers."""
    table = frame[frame["status"] == "ok"]
    return pd.DataFrame({
        "runtime": table["runtime"],
        "min (ms)": milliseconds(table["min_s"]),
        "median (ms)": milliseconds(table["median_s"]),
        "mean (ms)": milliseconds(table["mean_s"]),
        **{f"p{percent:g} (ms)": milliseconds(table[f"p{percent:g}_s"]) for percent in percentiles},
        "max (ms)": milliseconds(table["max_s"]),
        "items/s": table["throughput_per_s"].map("{:.1f}".format),
        "speedup": table["speedup"].map("{:.2f}x".format),
        "convert (s)": table["convert_s"].map("{:.1f}".format),
        "load (s)": table["load_s"].map("{:.2f}".format),
        "first run (ms)": milliseconds(table["first_run_s"]),
        "peak (MB)": (table["peak_bytes"] / 1e6).map("{:.0f}".format),
        "runs": table["runs"],
        "flags": table["flags"],
    })  # fmt: skip


def failures(frame: pd.DataFrame) -> list[str]:
    """One line for each row without numbers."""
    without = frame[frame["status"] != "ok"]
    return [f"{row.runtime}: {row.status}: {row.reason}" for row in without.itertuples()]
