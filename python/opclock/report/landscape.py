"""Study B's findings as data: speedups, batch sizes, the time that runtimes remove, and comparisons of boards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from opclock.benchmarking.result import BenchRow
from opclock.flags import untrusted
from opclock.formatting import digits, percent
from opclock.studies.landscape_results import Entry, Landscape

SHARE = 0.95  # of the best throughput that a batch must reach


def latency_table(land: Landscape) -> pd.DataFrame:
    """One row for each model and runtime at batch 1: seconds, speedups and shares, or why there are none."""
    rows = []
    for entry in land.entries:
        for row in entry.rows:
            split = entry.split(row.runtime)
            low, high = row.interval_s
            rows.append({
                "board": land.label, "task": entry.task, "model": entry.model, "runtime": row.runtime,
                "status": row.status, "median_s": row.median_s, "low_s": low, "high_s": high,
                "throughput_per_s": row.throughput_per_s, "speedup": entry.speedup(row.runtime),
                "mac_s": split.mac_s if split else float("nan"),
                "non_mac_s": split.non_mac_s if split else float("nan"),
                "non_mac_share": split.non_mac_share if split else float("nan"),
                "non_mac_removed": entry.removed(row.runtime), "basis": split.basis if split else "",
                "peak_bytes": row.peak_bytes, "convert_s": row.convert_s, "flags": " ".join(row.flags),
                "reliable": entry.reliable(row.runtime), "reason": row.reason,
            })  # fmt: skip
    return pd.DataFrame(rows)


def batch_table(land: Landscape) -> pd.DataFrame:
    """One row for each model, runtime and batch, with the smallest batch that reaches SHARE of the best throughput."""
    frames = []
    for entry in land.entries:
        for curve in entry.curves():
            frames.append(curve.to_frame().assign(task=entry.task, smallest=curve.smallest(SHARE)))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def post_table(land: Landscape) -> pd.DataFrame:
    """One row for each model with post-processing: its seconds in PyTorch, and its share of the whole by runtime."""
    rows = []
    for entry in land.entries:
        if len(entry.post_s):
            post_s = float(np.median(entry.post_s))
            shares = {row.runtime: post_s / (post_s + row.median_s) for row in entry.rows if row.status == "ok"}
            rows.append({"model": entry.model, "task": entry.task, "post_s": post_s, **shares})
    return pd.DataFrame(rows)


def geometric_mean(values: Iterable[float]) -> float:
    """The geometric mean. NaN values are left out; without any value the result is NaN."""
    kept = [math.log(value) for value in values if value > 0]
    return math.exp(sum(kept) / len(kept)) if kept else float("nan")


def runtime_table(land: Landscape) -> pd.DataFrame:
    """One row for each runtime: models it runs, speedups by task (geometric means), non-MAC time it removes (mean).

    Means leave out models whose times are not reliable.
    """
    table = latency_table(land)
    tasks = list(dict.fromkeys(table["task"]))
    rows = []
    for runtime in land.runtimes:
        timed = table[(table["runtime"] == runtime) & (table["status"] == "ok")]
        mine = timed[timed["reliable"]]
        reporting = mine[mine["basis"] == "operators"]
        rows.append({
            "runtime": runtime, "models": len(timed), "of": len(land.entries), "left_out": len(timed) - len(mine),
            **{f"speedup_{task}": geometric_mean(mine.loc[mine["task"] == task, "speedup"]) for task in tasks},
            "speedup": geometric_mean(mine["speedup"]),
            "mac_speedup": geometric_mean(_mac_speedups(land, reporting["model"], runtime)),
            "non_mac_share": mine["non_mac_share"].mean(), "non_mac_removed": mine["non_mac_removed"].mean(),
            "reports_operators": len(reporting),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _mac_speedups(land: Landscape, models: Iterable[str], runtime: str) -> list[float]:
    """For each model, the speedup of a runtime's MAC kernels (with what is fused into them) over eager's."""
    speedups = []
    for entry in (land.entry(model) for model in models):
        eager, mine = (entry.split("eager"), entry.split(runtime)) if entry else (None, None)
        if eager and mine and mine.mac_s:
            speedups.append(eager.mac_s / mine.mac_s)
    return speedups


@dataclass(frozen=True)
class Relative:
    """The speedup of one board over the first for one task and runtime: a geometric mean over models."""

    board: str
    task: str
    runtime: str
    models: int
    speedup: float
    low: float
    high: float


def _half_log_width(row: BenchRow) -> float:
    low, high = row.interval_s
    return (math.log(high) - math.log(max(low, 1e-12))) / 2


def relative_speedups(boards: Sequence[Landscape]) -> list[Relative]:
    """The speedups of each board over the first, by task and runtime.

    The interval follows from the intervals of the medians: on a log scale, the squares of their half widths add up,
    as for independent errors. Models with a time that is not reliable are left out.
    """
    first, speedups = boards[0], []
    for board in boards[1:]:
        for task in dict.fromkeys(entry.task for entry in first.entries):
            for runtime in first.runtimes:
                pairs = _pairs(first, board, task, runtime)
                if not pairs:
                    continue
                middle = sum(math.log(one.median_s / other.median_s) for one, other in pairs) / len(pairs)
                squares = sum(_half_log_width(row) ** 2 for pair in pairs for row in pair)
                half = math.sqrt(squares) / len(pairs)
                bounds = (math.exp(middle + sign * half) for sign in (0, -1, 1))
                speedups.append(Relative(board.label, task, runtime, len(pairs), *bounds))
    return speedups


def _pairs(first: Landscape, board: Landscape, task: str, runtime: str) -> list[tuple[BenchRow, BenchRow]]:
    """For each model of this task, its rows on the two boards, where both are reliable."""
    pairs = []
    for entry in first.entries:
        other: Entry | None = board.entry(entry.model)
        one, two = entry.row(runtime), other.row(runtime) if other else None
        if entry.task == task and one and two and not untrusted((*one.flags, *two.flags)):
            pairs.append((one, two))
    return pairs


def words(land: Landscape) -> list[str]:
    """The findings for one board in sentences."""
    runtimes, batches, posts = runtime_table(land), batch_table(land), post_table(land)
    others = runtimes[(runtimes["runtime"] != "eager") & (runtimes["models"] > 0)].sort_values(
        "speedup", ascending=False
    )
    sentences = _doubts(land)
    others = others[others["speedup"].notna()]
    if len(others):
        speedups = ", ".join(
            f"{name} {digits(value)} times" for name, value in zip(others["runtime"], others["speedup"], strict=True)
        )
        sentences.append(f"Over eager PyTorch, at batch 1, geometric mean over models: {speedups}.")
    eager = runtimes[runtimes["runtime"] == "eager"]["non_mac_share"].mean()
    reporting = others[others["reports_operators"] > 0]
    if len(reporting) and not math.isnan(eager):
        shares: list[float] = reporting["non_mac_removed"].astype(float).tolist()
        removed = ", ".join(
            f"{runtime} {percent(share)}" for runtime, share in zip(reporting["runtime"], shares, strict=True)
        )
        sentences.append(
            f"In eager PyTorch {percent(eager)} of a model's time lies outside the kernels that MACs count; of that "
            f"time runtimes that report their operators' times remove: {removed}."
        )
    if len(batches):
        knees = batches.drop_duplicates(["model", "runtime"])["smallest"]
        sentences.append(
            f"{SHARE * 100:.0f} % of the best throughput is reached at batch {knees.median():.0f} in the median, and "
            f"at batch {knees.max()} at the latest, over {len(knees)} pairs of model and runtime that take any batch."
        )
    if len(posts):
        beside = posts.drop(columns=["model", "task", "post_s"])
        fastest = beside.max(axis=1)
        model = posts["model"][fastest.to_numpy().argmax()]
        sentences.append(
            f"Post-processing in PyTorch is {percent(beside['eager'].mean())} of the whole beside eager PyTorch, "
            f"and up to {percent(fastest.max())} ({model}) beside the fastest runtime."
        )
    absent = runtimes[runtimes["models"] == 0]["runtime"].tolist()
    if absent:
        sentences.append(f"No number from: {', '.join(absent)}.")
    return sentences


def _doubts(land: Landscape) -> list[str]:
    """How many times are not reliable, in a sentence; none where all are."""
    timed = [entry.reliable(row.runtime) for entry in land.entries for row in entry.rows if row.status == "ok"]
    if all(timed):
        return []
    return [f"{timed.count(False)} of {len(timed)} times at batch 1 are not reliable, alone or beside eager's: means "
            "leave them out, figures show them hollow or hatched."]  # fmt: skip


def failures(land: Landscape) -> list[dict[str, Any]]:
    """Every row without a time and every failed estimate, with the reasons."""
    failed = []
    for entry in land.entries:
        unmade = [BenchRow("opclock's estimate", 1, "failed", entry.note)] if entry.note else []
        for row in (*entry.rows, *entry.batches, *unmade):
            if row.status != "ok":
                failed.append({"model": entry.model, "runtime": row.runtime, "batch": row.batch, "status": row.status,
                              "reason": row.reason})  # fmt: skip
    return failed


def failure_lines(land: Landscape) -> list[str]:
    """One line for each runtime and reason, with the models that failed."""
    models: dict[tuple[str, str, str], list[str]] = {}
    for row in failures(land):
        models.setdefault((row["runtime"], row["status"], row["reason"]), []).append(row["model"])
    return [
        f"{runtime}: {status} for {', '.join(dict.fromkeys(names))}: {reason}"
        for (runtime, status, reason), names in models.items()
    ]
