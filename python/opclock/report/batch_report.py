"""Batch curves as a table, a sentence and a figure."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from opclock.benchmarking.batch_scaling import BatchCurve
from opclock.report.bench_table import milliseconds
from opclock.report.plots import BLUE, GREY, ORANGE, figure_with_axes

COLOURS = {"measured": BLUE, "estimated": ORANGE}


def shown(frame: pd.DataFrame) -> pd.DataFrame:
    """What a person reads of batch_curve.together."""
    return pd.DataFrame({
        "runtime": frame["runtime"],
        "source": frame["source"],
        "batch": frame["batch"],
        "latency (ms)": milliseconds(frame["latency_s"]),
        "items/s": frame["throughput_per_s"].map("{:.1f}".format),
        "from": frame["throughput_low_per_s"].map("{:.1f}".format),
        "to": frame["throughput_high_per_s"].map("{:.1f}".format),
        "of best": frame["share_of_best"].map("{:.0%}".format),
        "peak (MB)": frame["peak_bytes"].map(lambda value: f"{value / 1e6:.0f}" if value else ""),
    })  # fmt: skip


def sentence(curve: BatchCurve, share: float) -> str:
    """The smallest batch worth it, and why the curve ends."""
    return (
        f"{curve.runtime}, {curve.source}: batch {curve.smallest(share)} is the smallest with {share:.0%} of the best "
        f"throughput, {curve.best_per_s:.1f} items/s ({curve.stopped})"
    )


def draw_curve(axes: Axes, curve: BatchCurve, colour: str, label: str) -> None:
    """Throughput by batch with its interval."""
    batches = np.array([point.batch for point in curve.points])
    middle = np.array([point.throughput_per_s for point in curve.points])
    low, high = np.array([point.throughput_interval_per_s for point in curve.points]).T
    high = np.where(np.isfinite(high), high, middle)
    axes.errorbar(batches, middle, [middle - low, high - middle], marker="o", color=colour, capsize=3, label=label)


def batch_axis(axes: Axes, batches: Sequence[int]) -> None:
    """Powers of two, as plain numbers."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(set(batches)), [str(batch) for batch in sorted(set(batches))])
    axes.set_xlabel("batch size")
    axes.set_ylabel("items a second")
    axes.set_ylim(bottom=0)


def draw(curves: Sequence[BatchCurve], share: float, suffix: str) -> bytes:
    """The figure of one model's curves as the content of a file."""
    figure, axes = figure_with_axes(7.0, 4.5)
    for curve in curves:
        smallest = curve.smallest(share)
        label = f"{curve.runtime}, {curve.source}: {share:.0%} from batch {smallest}"
        draw_curve(axes, curve, COLOURS[curve.source], label)
        axes.axhline(share * curve.best_per_s, color=GREY, linewidth=0.8, linestyle=":")
    batch_axis(axes, [point.batch for curve in curves for point in curve.points])
    axes.set_title(curves[0].model, loc="left", fontweight="bold")
    axes.legend(frameon=False, loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix)
    return buffer.getvalue()
