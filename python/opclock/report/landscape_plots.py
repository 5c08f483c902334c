"""The figures of study B. Each function takes the boards and returns a matplotlib figure.

Times that are not reliable have hollow points and hatched bars; means leave them out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from opclock.report.batch_report import batch_axis, draw_curve
from opclock.report.landscape import batch_table, latency_table, relative_speedups
from opclock.report.plots import BLUE, GREY, ORANGE, figure_with_axes, log_axes
from opclock.studies.landscape_results import Landscape

COLOURS = {
    "eager": "#8a8a8a", "compile": "#d9730d", "onnxruntime": "#1f5fa8", "openvino": "#7b3fa0", "litert": "#f0b429",
    "ncnn": "#5b8c3a", "executorch": "#b3261e", "tensorrt": "#3a8c86",
}  # fmt: skip
MARKS = "os^DvP*X"


def _note(table: pd.DataFrame, mark: str) -> str:
    """What a mark means, where a time has it; else ""."""
    return f" ({mark}: not reliable)" if (~table["reliable"] & (table["status"] == "ok")).any() else ""


def _colour(runtime: str) -> str:
    return COLOURS.get(runtime, "#444444")


def landscape(boards: Sequence[Landscape]) -> Figure:
    """Latency at batch 1 against best throughput, one point for each model. Colours are runtimes, marks are boards."""
    figure, axes = figure_with_axes(8.5, 5.5)
    log_axes(axes)
    for mark, board in zip(MARKS, boards, strict=False):
        table, batches = latency_table(board), batch_table(board)
        for runtime in board.runtimes:
            mine = table[(table["runtime"] == runtime) & (table["status"] == "ok")]
            if not len(mine):
                continue
            best = [_best(batches, row["model"], runtime, row["throughput_per_s"]) for row in mine.to_dict("records")]
            label = runtime if len(boards) == 1 else f"{runtime}, {board.label}"
            colour = _colour(runtime)
            axes.scatter(mine["median_s"] * 1e3, best, facecolors=np.where(mine["reliable"], colour, "white"),
                         edgecolors=colour, marker=mark, label=label, alpha=0.85)  # fmt: skip
    axes.set_xlabel("latency at batch 1 (ms, log scale)")
    axes.set_ylabel("best throughput (items a second, log scale)")
    note = _note(pd.concat([latency_table(board) for board in boards]), "hollow")
    axes.set_title(f"Latency against throughput, one point a model{note}", loc="left", fontweight="bold")
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _best(batches: pd.DataFrame, model: str, runtime: str, at_one: float) -> float:
    if not len(batches):
        return at_one
    mine = batches[(batches["model"] == model) & (batches["runtime"] == runtime)]
    return max(at_one, float(mine["throughput_per_s"].max())) if len(mine) else at_one


def speedups(boards: Sequence[Landscape]) -> Figure:
    """The speedup of each runtime over eager PyTorch by model, one panel for each board."""
    figure = Figure(figsize=(9, 3.6 * len(boards)), layout="constrained", dpi=150)
    named: set[str] = set()
    for place, board in enumerate(boards):
        axes = figure.add_subplot(len(boards), 1, place + 1)
        table = latency_table(board)
        runtimes = [name for name in board.runtimes if name != "eager" and
                 ((table["runtime"] == name) & (table["status"] == "ok")).any()]  # fmt: skip
        models = [entry.model for entry in board.entries]
        width = 0.8 / max(1, len(runtimes))
        for number, runtime in enumerate(runtimes):
            mine = table[table["runtime"] == runtime].set_index("model").reindex(models)
            hatches = np.where(mine["reliable"].eq(False), "////", "").tolist()
            axes.bar(np.arange(len(models)) + (number - (len(runtimes) - 1) / 2) * width, mine["speedup"], width * 0.92,
                     color=_colour(runtime), edgecolor="white", linewidth=0, hatch=hatches,
                     label=None if runtime in named else runtime)  # fmt: skip
            named.add(runtime)
        axes.axhline(1, color=GREY, linewidth=1)
        axes.set_xticks(range(len(models)), models)
        axes.set_ylabel("times faster than eager")
        title = f"Speedup over eager PyTorch: {board.label}{_note(table, 'hatched')}"
        axes.set_title(title, loc="left", fontweight="bold")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    if named:
        figure.legend(loc="outside lower center", ncols=7, frameon=False, fontsize=9)
    return figure


def batch_curves(boards: Sequence[Landscape]) -> Figure:
    """Throughput against batch over that at batch 1, a panel a model of the first board."""
    board = boards[0]
    entries = [entry for entry in board.entries if entry.curves()]
    columns = min(3, max(1, len(entries)))
    rows = max(1, -(-len(entries) // columns))
    figure = Figure(figsize=(3.4 * columns, 2.9 * rows), layout="constrained", dpi=150)
    named: set[str] = set()
    for place, entry in enumerate(entries):
        axes = figure.add_subplot(rows, columns, place + 1)
        for curve in entry.curves():
            label = "" if curve.runtime in named else curve.runtime
            named.add(curve.runtime)
            draw_curve(axes, curve, _colour(curve.runtime), label)
        batch_axis(axes, [point.batch for curve in entry.curves() for point in curve.points])
        axes.set_title(entry.model, loc="left", fontsize=10, fontweight="bold")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    if named:
        figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def non_mac_time(boards: Sequence[Landscape]) -> Figure:
    """MAC and non-MAC time by runtime on the first board, divided by eager's total; means over models."""
    table = latency_table(boards[0])
    eager = table[(table["runtime"] == "eager") & (table["status"] == "ok")].set_index("model")["median_s"]
    split = table[(table["status"] == "ok") & (table["basis"] != "") & table["reliable"]]
    names = [name for name in boards[0].runtimes if (split["runtime"] == name).any()]
    figure, axes = figure_with_axes(8, 0.5 * max(1, len(names)) + 1.7)
    for place, name in enumerate(names):
        mine = split[split["runtime"] == name]
        whole = mine["model"].map(eager)
        mac, rest = float((mine["mac_s"] / whole).mean()) * 100, float((mine["non_mac_s"] / whole).mean()) * 100
        axes.barh(place, mac, color=BLUE, edgecolor="white")
        axes.barh(place, rest, left=mac, color=ORANGE, edgecolor="white")
        axes.annotate(f"{mac + rest:.0f} %", (mac + rest + 1, place), va="center", fontsize=9)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} %"))
    axes.set_xlabel("time over eager's, mean over the models it runs\n(blue: MAC kernels, orange: all else)")
    axes.set_title("What is left of MAC and non-MAC time", loc="left", fontweight="bold")
    return figure


def board_speedups(boards: Sequence[Landscape]) -> Figure:
    """The speedup of each board over the first, by task and runtime, with intervals."""
    relative = relative_speedups(boards)
    figure, axes = figure_with_axes(8, 0.3 * max(1, len(relative)) + 1.8)
    for place, speedup in enumerate(relative):
        axes.errorbar(
            speedup.speedup,
            place,
            xerr=[[speedup.speedup - speedup.low], [speedup.high - speedup.speedup]],
            fmt="o",
            capsize=3,
            color=_colour(speedup.runtime),
        )
    axes.axvline(1, color=GREY, linewidth=1)
    axes.set_yticks(
        range(len(relative)),
        [f"{speedup.board}: {speedup.task}, {speedup.runtime}" for speedup in relative],
        fontsize=8,
    )
    axes.invert_yaxis()
    axes.set_xlabel(f"times faster than {boards[0].label}")
    axes.set_title("Boards side by side", loc="left", fontweight="bold")
    return figure


FIGURES: dict[str, Callable[[Sequence[Landscape]], Figure]] = {
    "landscape": landscape,
    "speedups": speedups,
    "non_mac_time": non_mac_time,
    "batch_curves": batch_curves,
}
