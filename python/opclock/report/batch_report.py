"""Batch curves as a table, a sentence and a figure."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from opclock.benchmarking.batch_scaling import BatchCurve
from opclock.formatting import BYTES, COUNT, SECONDS, digits, percent
from opclock.report.plots import BLUE, GREY, ORANGE, figure_with_axes
from opclock.report.table import Table, numbers, percents, ready, texts

COLOURS = {"measured": BLUE, "estimated": ORANGE}


def table(frame: pd.DataFrame, title: str) -> Table:
    """The table of batch curves."""
    return Table([
        texts("runtime", list(frame["runtime"])),
        texts("source", list(frame["source"])),
        numbers("batch", list(frame["batch"]), COUNT),
        numbers("latency", list(frame["latency_s"]), SECONDS),
        ready("items/s", [digits(value) for value in frame["throughput_per_s"]]),
        ready("from", [digits(value) for value in frame["throughput_low_per_s"]], 2),
        ready("to", [digits(value) for value in frame["throughput_high_per_s"]], 2),
        percents("of best", list(frame["share_of_best"])),
        numbers("peak memory", [value or None for value in frame["peak_bytes"]], BYTES, 1),
        texts("flags", list(frame["flags"]), 1),
    ], title)  # fmt: skip


def sentence(curve: BatchCurve, share: float) -> str:
    """Name the smallest batch with enough throughput, and why the curve ends."""
    return (
        f"{curve.runtime}, {curve.source}: batch {curve.smallest(share)} is the smallest with {percent(share)} of "
        f"the best throughput, {digits(curve.best_per_s)} items/s ({curve.stopped})"
    )


def draw_curve(axes: Axes, curve: BatchCurve, colour: str, label: str) -> None:
    """Draw throughput with its interval against batch size."""
    batches = np.array([point.batch for point in curve.points])
    middle = np.array([point.throughput_per_s for point in curve.points])
    low, high = np.array([point.throughput_interval_per_s for point in curve.points]).T
    high = np.where(np.isfinite(high), high, middle)
    axes.errorbar(batches, middle, [middle - low, high - middle], marker="o", color=colour, capsize=3, label=label)


def batch_axis(axes: Axes, batches: Sequence[int]) -> None:
    """Set up the axes: batch sizes on a log scale with plain numbers, throughput from 0."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(set(batches)), [str(batch) for batch in sorted(set(batches))])
    axes.set_xlabel("batch size")
    axes.set_ylabel("items a second")
    axes.set_ylim(bottom=0)


def draw(curves: Sequence[BatchCurve], share: float, suffix: str) -> bytes:
    """Draw one model's curves. Returns the content of the image file."""
    figure, axes = figure_with_axes(7.0, 4.5)
    for curve in curves:
        smallest = curve.smallest(share)
        label = f"{curve.runtime}, {curve.source}: {percent(share)} from batch {smallest}"
        draw_curve(axes, curve, COLOURS[curve.source], label)
        axes.axhline(share * curve.best_per_s, color=GREY, linewidth=0.8, linestyle=":")
    batch_axis(axes, [point.batch for curve in curves for point in curve.points])
    axes.set_title(curves[0].model, loc="left", fontweight="bold")
    axes.legend(frameon=False, loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix)
    return buffer.getvalue()
