"""The figures of study A. Each function takes the findings and returns a matplotlib figure.

Models whose times are not reliable have hollow points and a star behind their names.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from opclock.flags import joined, untrusted
from opclock.report.colours import CLASS_COLOURS
from opclock.studies.hidden_costs_results import HiddenCosts
from opclock.tracing.operator_classes import MAC_CLASSES

BLUE, ORANGE, GREY, RED = "#1f5fa8", "#d9730d", "#8a8a8a", "#b3261e"


STAR = " *"


def _unreliable(table: pd.DataFrame) -> pd.Series:
    """By row: whether a flag says that its times are not reliable."""
    return table["flags"].map(lambda names: bool(untrusted(names.split()))).astype(bool)


def _names(table: pd.DataFrame) -> pd.Series:
    """The models' names, with a star where the times are not reliable."""
    return table["model"].where(~_unreliable(table), table["model"] + STAR)


def _footnote(table: pd.DataFrame, left_out_of: str = "") -> str:
    """What the star means, on a line of its own; "" where no model has one.

    Args:
        table: one row a model.
        left_out_of: what these models are left out of, such as "the mean"; "" for nothing.
    """
    flags = untrusted(joined(table["flags"]))
    if not flags:
        return ""
    return f"\n* not reliable ({', '.join(flags)})" + (f", left out of {left_out_of}" if left_out_of else "")


def _plain(value: float, _position: object = None) -> str:
    return f"{value:g}"


def figure_with_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Return an empty figure and its axes. Sizes are in inches."""
    figure = Figure(figsize=(width, height), layout="constrained", dpi=150)
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def log_axes(axes: Axes) -> None:
    """Make both axes logarithmic, with plain numbers."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(_plain))
        axis.set_minor_formatter("")
    axes.grid(visible=True, which="major", color="#e6e6e6", linewidth=0.8)


def _label_points(axes: Axes, x: pd.Series, y: pd.Series, names: pd.Series) -> None:
    """Write a name beside each point, on the first side where it overlaps no other name or point."""
    points = [tuple(axes.transData.transform((left, up)) * 72 / axes.figure.dpi) for left, up in zip(x, y, strict=True)]
    taken = [(left - 4, left + 4, up - 4, up + 4) for left, up in points]
    for (left, up), name, place in zip(points, names, zip(x, y, strict=True), strict=True):
        width = 5.4 * len(name)  # points, in a 9-point font
        sides = (("left", 7, 0, left + 7), ("right", -7, 0, left - 7 - width), ("center", 0, 11, left - width / 2),
                 ("center", 0, -11, left - width / 2))  # fmt: skip
        boxes = [(start, start + width, up + lift - 5, up + lift + 5) for _, _, lift, start in sides]
        free = [i for i, box in enumerate(boxes) if not any(_touch(box, other) for other in taken)]
        best = free[0] if free else 0
        side, shift, lift, _ = sides[best]
        taken.append(boxes[best])
        axes.annotate(name, place, xytext=(shift, lift), textcoords="offset points", ha=side, va="center", fontsize=9)


def _touch(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def macs_against_time(study: HiddenCosts) -> Figure:
    """Measured time against MACs, with the least-squares line."""
    figure, axes = figure_with_axes(7.5, 5.2)
    x, y = study.table["macs"] / 1e6, study.table["reference_s"] * 1e3
    log_axes(axes)
    line = np.geomspace(x.min() / 2, x.max() * 2, 200)
    fitted = (study.offset_s + study.slope_s_per_mac * line * 1e6) * 1e3
    axes.plot(line[fitted > 0], fitted[fitted > 0], color=GREY, linewidth=1.5,
              label=f"least-squares line, R² = {study.r_squared:.2f}")  # fmt: skip
    axes.scatter(x, y, facecolors=np.where(_unreliable(study.table), "white", BLUE), edgecolors=BLUE, zorder=3)
    axes.set_xlim(x.min() / 4, x.max() * 4)
    axes.set_ylim(y.min() / 1.6, y.max() * 1.8)
    figure.draw_without_rendering()  # fixes the layout, so that positions on the page are known
    _label_points(axes, x, y, _names(study.table))
    axes.set_xlabel("MACs (millions, log scale)" + _footnote(study.table, "the line" if study.left_out else ""))
    axes.set_ylabel("measured time of one inference (ms, log scale)")
    axes.set_title("MACs against measured time", loc="left", fontweight="bold")
    axes.legend(frameon=False, loc="upper left")
    return figure


def estimate_against_measured(study: HiddenCosts) -> Figure:
    """The error of each model's estimate with its interval, and the repeatability of the measured time."""
    table = study.table.sort_values("reference_s", ascending=False).reset_index(drop=True)
    figure, axes = figure_with_axes(7.5, 0.42 * len(table) + 1.6)
    places = np.arange(len(table))
    error = table["error"] * 100  # in percent
    low = (table["estimate_low_s"] / table["reference_s"] - 1) * 100
    high = (table["estimate_high_s"] / table["reference_s"] - 1) * 100
    axes.axvline(0, color=GREY, linewidth=1)
    axes.barh(places, 2 * table["repeat_error"].abs() * 100, left=-table["repeat_error"].abs() * 100, height=0.7,
              color="#dfe7f0", label="measuring the model twice")  # fmt: skip
    axes.errorbar(error, places, xerr=[(error - low).clip(lower=0), (high - error).clip(lower=0)], fmt="o", color=BLUE,
                  capsize=3, label="estimate, with its interval")  # fmt: skip
    doubtful = _unreliable(table)
    axes.scatter(error[doubtful], places[doubtful], facecolors="white", edgecolors=BLUE, zorder=3)
    names = [
        f"{name}  {seconds * 1e3:.1f} ms" for name, seconds in zip(_names(table), table["reference_s"], strict=True)
    ]
    axes.set_yticks(places, names)
    reach = max(10.0, float(np.nanmax(np.abs(np.concatenate([low, high])))) * 1.1)
    axes.set_xlim(-reach, reach)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+.0f} %" if value else "0"))
    axes.set_xlabel("estimate against measured time" + _footnote(table))
    axes.set_title("Estimate against measured", loc="left", fontweight="bold")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def errors_by_method(study: HiddenCosts) -> Figure:
    """Absolute errors of opclock's estimate and of the simpler estimates."""
    methods = {
        "error": "opclock's estimate",
        "back_to_back_error": "kernels back to back",
        "mac_kernels_only_error": "MAC kernels only",
        "roofline_error": "roofline",
        "mac_regression_error": "line through MACs",
    }
    figure, axes = figure_with_axes(7.5, 3.2)
    doubtful = _unreliable(study.table)
    for place, column in enumerate(methods):
        errors, colour = study.table[column].astype(float).abs() * 100, BLUE if column == "error" else ORANGE
        axes.scatter(errors, np.full(len(errors), place), facecolors=np.where(doubtful, "white", colour),
                     edgecolors=colour, alpha=0.65)  # fmt: skip
        mean = errors[~doubtful].mean()
        if np.isfinite(mean):
            axes.plot([mean] * 2, [place - 0.3, place + 0.3], color="black", linewidth=2)
            axes.annotate(f"mean {mean:.1f} %", (mean, place + 0.32), fontsize=8, ha="center", va="top")
    axes.set_yticks(range(len(methods)), list(methods.values()))
    axes.invert_yaxis()
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xticks([0, 1, 3, 10, 30, 100, 300, 1000], ["0", "1 %", "3 %", "10 %", "30 %", "100 %", "300 %", "1000 %"])
    axes.set_xlim(0, max(120.0, float(study.table[list(methods)].astype(float).abs().max().max()) * 130))
    axes.grid(visible=True, axis="x", color="#e6e6e6", linewidth=0.8)
    note = _footnote(study.table, "the mean").replace("*", "hollow:")
    axes.set_xlabel(f"absolute error (linear below 1 %, log above); one dot a model{note}")
    axes.set_title("What each way of predicting misses by", loc="left", fontweight="bold")
    return figure


def time_by_class(study: HiddenCosts) -> Figure:
    """Shares of each model's time by operator class."""
    shares = study.classes.div(study.classes.sum(axis=1), axis=0) * 100
    small = [name for name in shares.columns if shares[name].max() < 2.0]
    shares = shares.drop(columns=small).assign(**({"rest": shares[small].sum(axis=1)} if small else {}))
    first = [name for name in MAC_CLASSES if name in shares]
    shares = shares[[*first, *[name for name in shares.columns if name not in first]]]
    shares = shares.loc[shares[first].sum(axis=1).sort_values().index]
    figure, axes = figure_with_axes(8.5, 0.42 * len(shares) + 1.8)
    left, names = np.zeros(len(shares)), _names(study.table).set_axis(study.table["model"])
    for name in shares.columns:
        axes.barh(names[shares.index], shares[name], left=left, color=CLASS_COLOURS.get(name, "#d5d5d5"), label=name,
                  edgecolor="white", linewidth=0.5)  # fmt: skip
        left += shares[name].to_numpy()
    totals = study.classes.sum(axis=1)
    for place, name in enumerate(shares.index):
        axes.annotate(f"{totals[name] * 1e3:.1f} ms", (101, place), va="center", fontsize=9, annotation_clip=False)
    axes.set_xlim(0, 100)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} %"))
    axes.set_xlabel("share of the estimated time (blue: what MACs count)" + _footnote(study.table))
    axes.set_title("Where the time goes", loc="left", fontweight="bold")
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


def rank_inversions(study: HiddenCosts) -> Figure:
    """Models in order of MACs (left) and of time (right). Lines that cross are inversions."""
    by_macs = study.table.sort_values("macs")["model"].tolist()
    by_time = study.table.sort_values("reference_s")["model"].tolist()
    inverted = {name for pair in study.inversions for name in (pair.fewer_macs, pair.more_macs)}
    figure, axes = figure_with_axes(6.5, 0.42 * len(by_macs) + 1.4)
    table = study.table.assign(name=_names(study.table)).set_index("model")
    for name in by_macs:
        colour = RED if name in inverted else GREY
        left, right = by_macs.index(name), by_time.index(name)
        axes.plot([0, 1], [left, right], color=colour, marker="o", linewidth=1.5)
        macs, seconds, shown = (table.loc[name, column] for column in ("macs", "reference_s", "name"))
        axes.annotate(f"{shown}  {macs / 1e6:.0f} M", (-0.04, left), ha="right", va="center")
        axes.annotate(f"{seconds * 1e3:.1f} ms  {shown}", (1.04, right), ha="left", va="center")
    axes.set_xlim(-0.75, 1.75)
    axes.set_ylim(-0.6, len(by_macs) - 0.4)
    axes.axis("off")
    title = f"Order by MACs (left) and by time (right): {len(study.inversions)} pairs inverted beyond the noise"
    axes.set_title(title + _footnote(study.table), loc="center", fontweight="bold", fontsize=10)
    return figure


FIGURES = {
    "macs_against_time": macs_against_time,
    "estimate_against_measured": estimate_against_measured,
    "errors_by_method": errors_by_method,
    "time_by_class": time_by_class,
    "rank_inversions": rank_inversions,
}
