"""Compares a runtime's answers with eager PyTorch's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from opclock.runtimes.runtime import Array, Precision

# By precision, the largest error as a fraction of the signal: ten times the rounding error of a deep network.
TOLERANCES: dict[Precision, float] = {"float32": 1e-3, "float16": 0.02, "bfloat16": 0.1}
# By precision, the largest fraction of an integer or boolean output that may differ. In a lower precision two scores
# may change places, so that an index is another one.
CHANGED: dict[Precision, float] = {"float32": 0.0, "float16": 0.02, "bfloat16": 0.1}


def differs(
    answers: Sequence[Array], expected: Sequence[Array], signal_rms: Sequence[float], precision: Precision
) -> str:
    """Compare a runtime's answers with eager PyTorch's.

    Integers and booleans are compared exactly. The error of floating-point numbers is the root mean square of the
    difference over the signal: the root mean square by which the output differs between random inputs. A constant
    answer therefore has an error of about 1. NaN and infinities must be at the same places as eager's.

    Args:
        answers: one array for each output.
        expected: the same from eager PyTorch.
        signal_rms: the signal of each output, from eager PyTorch; 0 where the output is constant or not comparable.
        precision: what the runtime may compute in. It sets the tolerance.

    Returns:
        What is wrong, or "".
    """
    if len(answers) != len(expected):
        return f"{len(answers)} outputs, eager has {len(expected)}"
    for number, (answer, eager, rms) in enumerate(zip(answers, expected, signal_rms, strict=True)):
        if answer.shape != eager.shape:
            return f"output {number} has shape {answer.shape}, eager's has {eager.shape}"
        exact = eager.dtype.kind in "biu"
        wrong = _changed(answer, eager, precision) if exact else _error(answer, eager, rms, precision)
        if wrong:
            return f"output {number} {wrong}"
    return ""


def _changed(answer: Array, eager: Array, precision: Precision) -> str:
    """Which integers or booleans differ. Another dtype is right if the numbers are: not every runtime has int64."""
    differing = int(np.count_nonzero(answer != eager))
    if differing <= CHANGED[precision] * eager.size:
        return ""
    return f"differs from eager's in {differing} of {eager.size} {eager.dtype} values"


def _error(answer: Array, eager: Array, signal_rms: float, precision: Precision) -> str:
    """How far floating-point numbers are off, if that is too far."""
    finite = np.isfinite(eager)
    misplaced = ~np.where(finite, np.isfinite(answer), (answer == eager) | (np.isnan(answer) & np.isnan(eager)))
    if misplaced.any():
        return f"has NaN or infinities at other places than eager's: {np.count_nonzero(misplaced)} of {eager.size}"
    if not finite.any():
        return ""
    kind = np.result_type(answer, eager, np.float64)
    difference = _rms(np.subtract(answer[finite], eager[finite], dtype=kind))
    scale = signal_rms or _rms(eager[finite].astype(kind)) or 1.0
    tolerance = TOLERANCES[precision]
    if difference <= tolerance * scale:
        return ""
    return f"differs from eager's by {difference / scale:.2g} of its signal (allowed in {precision}: {tolerance})"


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(np.abs(values)))))
