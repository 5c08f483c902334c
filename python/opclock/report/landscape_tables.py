"""What a person reads of study B: milliseconds, factors, percents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from opclock.report.landscape import Relative, batch_table, latency_table, post_table, runtime_table
from opclock.studies.landscape_results import Landscape


def _number(value: Any, form: str) -> str:  # noqa: ANN401 - what a DataFrame holds
    return "" if pd.isna(value) else form.format(value)


def latencies(land: Landscape) -> pd.DataFrame:
    """Models down, runtimes across: milliseconds, and how many times faster than eager."""
    table = latency_table(land)
    rows = []
    for (task, model), group in table.groupby(["task", "model"], sort=False):
        cells = {}
        for row in group.to_dict("records"):
            speedup = "" if row["runtime"] == "eager" else f" ({row['speedup']:.2f}x)"
            cells[row["runtime"]] = f"{row['median_s'] * 1e3:.1f}{speedup}" if row["status"] == "ok" else row["status"]
        rows.append({"task": task, "model": model, **cells})
    return pd.DataFrame(rows).fillna("")


def non_mac(land: Landscape) -> pd.DataFrame:
    """Models down, runtimes across: the share outside MAC kernels, and how much of eager's non-MAC time is gone."""
    table = latency_table(land)
    rows = []
    for model, group in table.groupby("model", sort=False):
        cells = {}
        for row in group[group["status"] == "ok"].to_dict("records"):
            mark = "~" if row["basis"] == "difference" else ""
            removed = "" if row["runtime"] == "eager" else f", {_number(row['non_mac_removed'], '{:.0%}')} gone"
            cells[row["runtime"]] = f"{mark}{_number(row['non_mac_share'], '{:.0%}')}{removed}" if row["basis"] else ""
        rows.append({"model": model, **cells})
    return pd.DataFrame(rows).fillna("")


def knees(land: Landscape) -> pd.DataFrame:
    """Models down, runtimes across: the smallest batch for full throughput, and its speedup over batch 1."""
    table = batch_table(land)
    rows: list[dict[str, str]] = []
    if len(table):
        for model, group in table.groupby("model", sort=False):
            cells = {"model": str(model)}
            for runtime, curve in group.groupby("runtime", sort=False):
                over_one = curve["throughput_per_s"].max() / curve["throughput_per_s"].iloc[0]
                cells[str(runtime)] = f"{curve['smallest'].iloc[0]} ({over_one:.2f}x)"
            rows.append(cells)
    return pd.DataFrame(rows).fillna("")


def runtimes(land: Landscape) -> pd.DataFrame:
    """One row a runtime."""
    table = runtime_table(land)
    speedups = [name for name in table.columns if name.startswith("speedup")]
    return pd.DataFrame(
        {
            "runtime": table["runtime"],
            "models": [f"{row.models} of {row.of}" for row in table.itertuples()],
            **{
                name.removeprefix("speedup_").replace("speedup", "all"): table[name].map(
                    lambda value: _number(value, "{:.2f}x")
                )
                for name in speedups
            },
            "MAC kernels": table["mac_speedup"].map(lambda value: _number(value, "{:.2f}x")),
            "outside MAC kernels": table["non_mac_share"].map(lambda value: _number(value, "{:.0%}")),
            "non-MAC time gone": table["non_mac_removed"].map(lambda value: _number(value, "{:.0%}")),
        }
    )


def post_processing(land: Landscape) -> pd.DataFrame:
    """Milliseconds, and the share of the whole beside each runtime."""
    table = post_table(land)
    if not len(table):
        return table
    shares = table.drop(columns=["model", "task", "post_s"])
    return pd.DataFrame({
        "model": table["model"],
        "post-processing (ms)": (table["post_s"] * 1e3).map("{:.2f}".format),
        **{f"beside {name}": shares[name].map(lambda value: _number(value, "{:.0%}")) for name in shares},
    })  # fmt: skip


def relative(speedups: Sequence[Relative]) -> pd.DataFrame:
    """Boards against the first."""
    return pd.DataFrame([
        {"board": speedup.board, "task": speedup.task, "runtime": speedup.runtime, "models": speedup.models,
         "speedup": f"{speedup.speedup:.2f}x", "from": f"{speedup.low:.2f}", "to": f"{speedup.high:.2f}"}
        for speedup in speedups
    ])  # fmt: skip
