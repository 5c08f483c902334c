"""nn-Meter's way (Zhang et al. 2021): a random forest for each kind of kernel, and their sum for a model.

What is built: for each kind of kernel (the operator; depthwise convolutions apart) a random forest of 100 trees,
trained on seconds. Its features are all sizes and numbers among the arguments, the MACs and the parameters, as in
nn-Meter. A kind with fewer than 12 samples has no forest and counts 0 seconds, as a kernel without a predictor does
there. What is not built: its search for fused kernels on the device (tables of fused runtimes have fused kernels
already), and its choice of further configurations to time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from opclock.prediction.forest import SEED
from opclock.prediction.training import MIN_ROWS
from opclock.tracing.macs import macs
from opclock.tracing.op_call import OpCall, TensorSpec, Value
from opclock.tracing.operator_classes import class_of
from opclock.tracing.trace import TracedCall

NUMBERS = 48  # of a call; longer ones are cut off
TREES = 100
LARGEST = 1e30  # a forest takes no infinite number, such as one that masks scores of attention


def kind_of(call: OpCall) -> str:
    """The kind of kernel: the operator, depthwise convolutions apart."""
    specs = call.tensors()
    depthwise = class_of(call) == "convolution" and len(specs) > 1 and specs[1].shape[1] == 1 < specs[0].shape[1]
    return call.name.removesuffix("_") + (" depthwise" if depthwise else "")


def _numbers(traced: TracedCall) -> list[float]:
    """Every size and number among the arguments in order, filled up with zeros; MACs and parameters."""
    numbers: list[float] = []

    def collect(value: Value) -> None:
        if isinstance(value, TensorSpec):
            numbers.extend(value.shape)
        elif isinstance(value, tuple):
            for item in value:
                collect(item)
        elif isinstance(value, bool | int | float):
            numbers.append(min(LARGEST, max(-LARGEST, float(value))))

    collect(traced.call.args)
    parameters = sum(spec.numel for spec in traced.call.tensors() if spec.requires_grad)
    return [*(numbers + [0.0] * NUMBERS)[:NUMBERS], float(macs(traced)), float(parameters)]


class KernelForests:
    """Seconds of op calls by kind of kernel; 0 for a kind without a forest."""

    def __init__(self, calls: Sequence[TracedCall], seconds: Sequence[float]) -> None:
        by_kind: dict[str, list[int]] = {}
        for number, traced in enumerate(calls):
            by_kind.setdefault(kind_of(traced.call), []).append(number)
        self._forests = {
            kind: RandomForestRegressor(TREES, random_state=SEED).fit(
                np.array([_numbers(calls[i]) for i in some]), np.array([seconds[i] for i in some])
            )
            for kind, some in by_kind.items()
            if len(some) >= MIN_ROWS
        }

    def predict(self, calls: Sequence[TracedCall]) -> list[float]:
        """By call."""
        by_kind: dict[str, list[int]] = {}
        for number, traced in enumerate(calls):
            by_kind.setdefault(kind_of(traced.call), []).append(number)
        seconds = [0.0] * len(calls)
        for kind, some in by_kind.items():
            if forest := self._forests.get(kind):
                for i, value in zip(some, forest.predict(np.array([_numbers(calls[i]) for i in some])), strict=True):
                    seconds[i] = float(value)
        return seconds
