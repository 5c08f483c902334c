"""The roofline: rates of kernels, below the ceilings of the board (Williams et al. 2009)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from opclock.estimation.result import Estimate
from opclock.formatting import counted
from opclock.prediction.ceilings import Ceilings
from opclock.report.colours import CLASS_COLOURS
from opclock.report.plots import GREY, RED, figure_with_axes, log_axes
from opclock.sweeps.results import SweepRow
from opclock.tracing.macs import macs, moved_bytes
from opclock.tracing.operator_classes import class_of
from opclock.tracing.trace import Trace

# The bandwidth roofs in the figure, by working set in bytes: label and line style.
SHOWN_SIZES = {
    1 << 15: ("32 KiB", "-"),
    1 << 18: ("256 KiB", "--"),
    1 << 22: ("4 MiB", "-."),
    1 << 28: ("256 MiB", ":"),
}
MIN_INTENSITY, MAX_INTENSITY = 0.02, 500.0  # MACs per byte


@dataclass(frozen=True)
class Point:
    """The MACs, moved bytes and time of one kernel."""

    group: str
    macs: int
    nbytes: int
    seconds: float
    model: str = ""  # the model that calls it; "" for a kernel of a sweep


def sweep_points(rows: Iterable[SweepRow]) -> list[Point]:
    """The kernels of a sweep that do MACs."""
    points = [Point(class_of(row.traced.call), macs(row.traced), moved_bytes(row.traced), row.measurement.median_s)
              for row in rows]  # fmt: skip
    return [point for point in points if point.macs and point.nbytes]


def model_points(trace: Trace, estimate: Estimate) -> list[Point]:
    """The op calls of a model that do MACs and have a time."""
    return [
        Point(part.operator_class, part.macs, moved_bytes(traced), part.kernel_s, trace.model)
        for traced, part in zip(trace.calls, estimate.parts, strict=True)
        if part.kernel_s and part.macs and moved_bytes(traced)
    ]


def roofline_figure(ceilings: Ceilings, points: Sequence[Point]) -> Figure:
    """GMAC/s against MACs per byte. Lines are roofs, dots a sweep's kernels, crosses a model's (larger: longer)."""
    figure, axes = figure_with_axes(8.5, 5.6)
    log_axes(axes)
    intensity = np.geomspace(MIN_INTENSITY, MAX_INTENSITY, 200)
    peak = ceilings.peak("float32")
    for size, (name, line) in SHOWN_SIZES.items():
        bandwidth = ceilings.bandwidth(size)
        axes.plot(intensity, np.minimum(peak, intensity * bandwidth) / 1e9, color=GREY, linewidth=1.2, linestyle=line,
                  label=f"{name}: {bandwidth / 1e9:.0f} GB/s")  # fmt: skip
    for dtype, rate in ceilings.multiply_adds.items():
        if dtype in ("float32", "float64", "int8"):
            axes.axhline(rate / 1e9, color=GREY, linewidth=0.8, linestyle="--")
            axes.annotate(f"{dtype} {rate / 1e9:.0f} GMAC/s", (MAX_INTENSITY, rate / 1e9), fontsize=8, ha="right",
                          va="bottom")  # fmt: skip
    for group in dict.fromkeys(point.group for point in points if not point.model):
        mine = [point for point in points if point.group == group and not point.model]
        axes.scatter([p.macs / p.nbytes for p in mine], [p.macs / p.seconds / 1e9 for p in mine], s=9, alpha=0.5,
                     color=CLASS_COLOURS.get(group, "#888888"), label=f"sweep: {group}", linewidths=0)  # fmt: skip
    for model in dict.fromkeys(point.model for point in points if point.model):
        mine = [point for point in points if point.model == model]
        longest = max(p.seconds for p in mine)
        axes.scatter([p.macs / p.nbytes for p in mine], [p.macs / p.seconds / 1e9 for p in mine], marker="x",
                     s=[12 + 90 * p.seconds / longest for p in mine], color=RED, label=model, zorder=3)  # fmt: skip
    axes.set_xlim(MIN_INTENSITY, MAX_INTENSITY)
    axes.set_ylim(peak / 1e9 / 3000, peak / 1e9 * 3)
    axes.set_xlabel("MACs for each byte moved (log scale)")
    axes.set_ylabel("GMAC/s reached (log scale)")
    axes.set_title(f"What kernels reach under the board's ceilings, {counted(ceilings.threads, 'thread')}", loc="left",
                   fontweight="bold")  # fmt: skip
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure
