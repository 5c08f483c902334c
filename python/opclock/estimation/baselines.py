"""Simpler estimates that others use, to compare with: sums of kernels, rooflines, a regression on MACs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from opclock.errors import EstimateError
from opclock.estimation.estimate import estimate
from opclock.estimation.result import Estimate
from opclock.profiles.profile import Profile
from opclock.tracing.macs import macs, moved_bytes
from opclock.tracing.trace import Trace

MIN_BUFFER = 1 << 20
MAX_BUFFER = 1 << 28  # four times any last-level cache of a small board: DRAM for certain
MIN_MODELS = 3  # a line through fewer points than that, one of them left out, fits anything


def back_to_back(trace: Trace, profile: Profile, threads: int) -> float:
    """The sum of the op calls, each timed directly after itself, and no host: what most kernel benchmarks give."""
    return estimate(trace, profile, threads=threads, timing="back_to_back", host=False).total_s


def mac_kernels_only(estimated: Estimate) -> float:
    """The kernels that a MAC count sees, and nothing else."""
    return estimated.mac_s


def roofline(trace: Trace, multiply_adds_per_s: float, bytes_per_s: float) -> float:
    """Every op call at the machine's ceilings (Williams et al. 2009): the slower of its MACs and its bytes."""
    return sum(max(macs(traced) / multiply_adds_per_s, moved_bytes(traced) / bytes_per_s) for traced in trace.calls)


def buffer_bytes(working_set: int) -> int:
    """The size whose bandwidth stands for this working set: the next power of two, within bounds."""
    return min(MAX_BUFFER, max(MIN_BUFFER, 1 << max(0, working_set - 1).bit_length()))


def mac_regression(macs_by_model: Sequence[int], seconds_by_model: Sequence[float]) -> list[float | None]:
    """For each model the time that a line through all the *other* models' (MACs, time) gives it.

    None for every model where there are fewer than three, or where the others all have the same MACs.
    """
    if len(macs_by_model) != len(seconds_by_model):
        raise EstimateError(f"{len(macs_by_model)} MAC counts for {len(seconds_by_model)} times")
    x, y = np.array(macs_by_model, dtype=float), np.array(seconds_by_model, dtype=float)
    fitted: list[float | None] = []
    for left_out in range(len(x)):
        others = np.arange(len(x)) != left_out
        if len(x) < MIN_MODELS or np.ptp(x[others]) == 0:
            fitted.append(None)
            continue
        slope, offset = np.polyfit(x[others], y[others], 1)
        fitted.append(float(slope * x[left_out] + offset))
    return fitted
