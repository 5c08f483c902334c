"""The time of a language model's token against depth, as a figure."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from opclock.report.plots import BLUE, GREY, ORANGE, figure_with_axes

if TYPE_CHECKING:
    from opclock.generation.result import LanguageModelEstimate


def draw(result: LanguageModelEstimate, suffix: str) -> bytes:
    """Draw the curve, what was measured, the roofline and real generation. Returns the content of the image file."""
    figure, axes = figure_with_axes(7.0, 4.5)
    depths = np.array([one.depth for one in result.measured])
    shown = np.unique(np.linspace(depths[0], depths[-1], 200).astype(int)).tolist()
    axes.plot(shown, result.curve.seconds(shown) * 1e3, color=BLUE, label="estimate")
    middle = np.array([one.estimate.total_s for one in result.measured]) * 1e3
    low = np.array([one.estimate.ci_low_s for one in result.measured]) * 1e3
    high = np.array([one.estimate.ci_high_s for one in result.measured]) * 1e3
    predicts = any(one.estimate.coverage.modelled for one in result.measured)
    points = "with predictions" if predicts else "kernels measured"
    axes.errorbar(depths, middle, [middle - low, high - middle], fmt="o", color=BLUE, capsize=3, label=points)
    if result.reference is not None:
        tokens = np.median(result.reference.samples[:, 1:], axis=0) * 1e3
        axes.plot(list(result.request.depths), tokens, color=ORANGE, linewidth=0.8, zorder=0, label="real generation")
    if result.roofline is not None:
        axes.plot(depths, np.array(result.roofline.tpot_s) * 1e3, color=GREY, linestyle=":", label="roofline")
    axes.set_xlabel("depth: tokens in the cache")
    axes.set_ylabel("time of a token (ms)")
    axes.set_ylim(bottom=0)
    axes.set_title(result.model, loc="left", fontweight="bold")
    axes.legend(frameon=False, loc="best")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix)
    return buffer.getvalue()
