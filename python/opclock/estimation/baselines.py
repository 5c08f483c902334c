"""Common simpler estimates, for comparison: sums of kernels, a roofline, a regression on MACs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from opclock.errors import EstimateError
from opclock.estimation.estimate import estimate
from opclock.estimation.result import Estimate
from opclock.profiles.machine_state import MachineState
from opclock.profiles.profile import Profile
from opclock.tracing.macs import macs, moved_bytes
from opclock.tracing.trace import Trace

MIN_MODELS = 3  # with one left out, fewer models leave less than the two points that a line needs


def back_to_back(trace: Trace, profile: Profile, threads: int, state: MachineState | None = None) -> float:
    """Add up the op calls, each timed directly after itself, without the host. Most kernel benchmarks time so.

    Args:
        trace: the model.
        profile: has "back_to_back" measurements of the op calls, or some of them.
        threads: PyTorch's threads.
        state: of the machine, see ``estimate``.

    Returns:
        Seconds of one inference.

    Raises:
        EstimateError: the profile has no such measurement of this model.
        ProfileError: the profile cannot be read.
    """
    return estimate(trace, profile, threads=threads, timing="back_to_back", host=False, state=state).total_s


def mac_kernels_only(estimated: Estimate) -> float:
    """Seconds of the kernels that a MAC count includes: convolution and gemm. The rest of the estimate is left out."""
    return estimated.mac_s


def roofline(trace: Trace, multiply_adds_per_s: float, bytes_per_s: float) -> float:
    """Add up the op calls, each as fast as the machine's ceilings allow.

    An op call takes the longer of two times: MACs over the MAC rate, and moved bytes over the bandwidth (Williams et
    al. 2009, Roofline).

    Args:
        trace: the model.
        multiply_adds_per_s: the highest rate of multiply-accumulates, per second.
        bytes_per_s: the highest bandwidth, bytes per second.

    Returns:
        Seconds of one inference.
    """
    return sum(max(macs(traced) / multiply_adds_per_s, moved_bytes(traced) / bytes_per_s) for traced in trace.calls)


def mac_regression(
    macs_by_model: Sequence[int], seconds_by_model: Sequence[float], contended: Sequence[bool] = ()
) -> list[float | None]:
    """Predict each model's time by a least-squares line through the MACs and times of all *other* models.

    Args:
        macs_by_model: MACs of one inference, one number a model.
        seconds_by_model: measured seconds of one inference, in the same order.
        contended: by model, whether other programs disturbed its time, so that no line goes through it; none if empty.

    Returns:
        Predicted seconds by model. One is None where there are fewer than two others, or where all others have the same
        MACs.

    Raises:
        EstimateError: the two sequences differ in length.
    """
    if len(macs_by_model) != len(seconds_by_model):
        raise EstimateError(f"{len(macs_by_model)} MAC counts for {len(seconds_by_model)} times")
    x, y = np.array(macs_by_model, dtype=float), np.array(seconds_by_model, dtype=float)
    clean = ~np.array(contended, dtype=bool) if len(contended) else np.ones(len(x), dtype=bool)
    fitted: list[float | None] = []
    for left_out in range(len(x)):
        others = clean & (np.arange(len(x)) != left_out)
        if others.sum() < MIN_MODELS - 1 or np.ptp(x[others]) == 0:
            fitted.append(None)
            continue
        slope, offset = np.polyfit(x[others], y[others], 1)
        fitted.append(float(slope * x[left_out] + offset))
    return fitted
