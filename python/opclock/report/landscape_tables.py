"""Tables of study B."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from opclock.flags import untrusted
from opclock.formatting import SECONDS, percent, quantity, speedup
from opclock.report.landscape import Relative, batch_table, failures, latency_table, post_table, runtime_table
from opclock.report.table import Table, numbers, percents, ready, texts
from opclock.studies.landscape_results import Landscape


def latencies(land: Landscape) -> Table:
    """Latency and speedup over eager: one row for each model, one column for each runtime."""

    def cell(row: Mapping[Hashable, Any]) -> str:
        if row["status"] != "ok":
            return str(row["status"])
        factor = "" if row["runtime"] == "eager" else f" ({speedup(row['speedup'])})"
        return " ".join([quantity(row["median_s"], SECONDS) + factor, *untrusted(str(row["flags"]).split())])

    return _by_runtime(latency_table(land), land, ("task", "model"), cell, land.label)


def non_mac(land: Landscape) -> Table:
    """Share of time outside MAC kernels, and share of eager's non-MAC time that is gone, by model and runtime."""

    def cell(row: Mapping[Hashable, Any]) -> str:
        if row["status"] != "ok":
            return ""
        if not row["basis"]:
            return "not told"
        removed = "" if row["runtime"] == "eager" else f", {percent(row['non_mac_removed'])} gone"
        return f"{percent(row['non_mac_share'])}{removed}"

    return _by_runtime(latency_table(land), land, ("model",), cell)


def _by_runtime(
    frame: pd.DataFrame,
    land: Landscape,
    keys: Sequence[str],
    cell: Callable[[Mapping[Hashable, Any]], str],
    title: str = "",
) -> Table:
    """One row for each model, one column for each runtime."""
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for row in frame.to_dict("records"):
        rows.setdefault(tuple(str(row[key]) for key in keys), {})[str(row["runtime"])] = cell(row)
    return Table([
        *(texts(key, [names[place] for names in rows], len(land.runtimes) * int(key != "model"))
          for place, key in enumerate(keys)),
        *(ready(runtime, [cells.get(runtime, "") for cells in rows.values()], place)
          for place, runtime in enumerate(land.runtimes)),
    ], title)  # fmt: skip


def smallest_batches(land: Landscape) -> Table:
    """The smallest batch with nearly the best throughput, and the speedup over batch 1, by model and runtime."""
    frame = batch_table(land)
    rows: dict[str, dict[str, str]] = {}
    if len(frame):
        for (model, runtime), curve in frame.groupby(["model", "runtime"], sort=False):
            over_one = curve["throughput_per_s"].max() / curve["throughput_per_s"].iloc[0]
            rows.setdefault(str(model), {})[str(runtime)] = f"{curve['smallest'].iloc[0]} ({speedup(over_one)})"
    runtimes = dict.fromkeys(runtime for cells in rows.values() for runtime in cells)
    return Table([
        texts("model", list(rows)),
        *(ready(runtime, [cells.get(runtime, "") for cells in rows.values()]) for runtime in runtimes),
    ])  # fmt: skip


def runtimes(land: Landscape) -> Table:
    """One row for each runtime."""
    frame = runtime_table(land)
    speedups = [str(name) for name in frame.columns if str(name).startswith("speedup")]
    return Table([
        texts("runtime", list(frame["runtime"])),
        ready("models", [f"{row.models} of {row.of}" for row in frame.itertuples()]),
        *(ready(name.removeprefix("speedup_").replace("speedup", "all"), [speedup(value) for value in frame[name]])
          for name in speedups),
        ready("MAC kernels", [speedup(value) for value in frame["mac_speedup"]]),
        percents("outside MAC kernels", list(frame["non_mac_share"])),
        percents("non-MAC time gone", list(frame["non_mac_removed"])),
    ])  # fmt: skip


def post_processing(land: Landscape) -> Table:
    """The time of post-processing, and its share of the whole with each runtime."""
    frame = post_table(land)
    if not len(frame):
        return Table([])
    shares = frame.drop(columns=["model", "task", "post_s"])
    return Table([
        texts("model", list(frame["model"])),
        numbers("post-processing", list(frame["post_s"]), SECONDS),
        *(percents(f"beside {name}", list(shares[name])) for name in shares),
    ])  # fmt: skip


def relative(speedups: Sequence[Relative]) -> Table:
    """The speedups of the other boards over the first."""
    return Table([
        *(texts(name, [getattr(one, name) for one in speedups]) for name in ("board", "task", "runtime")),
        ready("models", [str(one.models) for one in speedups]),
        ready("speedup", [speedup(one.speedup) for one in speedups]),
        ready("from", [speedup(one.low) for one in speedups]),
        ready("to", [speedup(one.high) for one in speedups]),
    ])  # fmt: skip


def without_number(land: Landscape) -> Table:
    """Every row without a time, with the reason."""
    rows = failures(land)
    return Table(
        [texts(name, [row[name] for row in rows]) for name in ("model", "runtime", "batch", "status", "reason")]
    )
