"""How published predictors do it: a random forest for each operator class on the raw shape numbers (nn-Meter 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from opclock.estimation.predictor import MIN_ROWS, SEED, Sample
from opclock.profiles.reader import ProfileReader
from opclock.tracing.op_call import OpCall, TensorSpec, Value
from opclock.tracing.operator_classes import class_of
from opclock.tracing.trace import TracedCall

NUMBERS = 48  # of a call; longer ones are cut off
TREES = 100


def raw_numbers(call: OpCall) -> list[float]:
    """Every size and number among the arguments, in order, filled up with zeros."""
    numbers: list[float] = []

    def collect(value: Value) -> None:
        if isinstance(value, TensorSpec):
            numbers.extend(value.shape)
        elif isinstance(value, tuple):
            for item in value:
                collect(item)
        elif isinstance(value, bool | int | float):
            numbers.append(float(value))

    collect(call.args)
    return (numbers + [0.0] * NUMBERS)[:NUMBERS]


class PublishedPredictor:
    """Seconds from raw numbers, by class; 0 for a class without a forest, as its authors have it."""

    def __init__(self, samples: Sequence[Sample], profile: ProfileReader) -> None:
        calls = profile.traced({sample.key for sample in samples})
        self._operators = sorted({calls[sample.key].call.name for sample in samples})
        by_class: dict[str, list[Sample]] = {}
        for sample in samples:
            by_class.setdefault(sample.features.operator_class, []).append(sample)
        self._forests = {
            name: RandomForestRegressor(TREES, random_state=SEED).fit(
                np.array([self._inputs(calls[sample.key]) for sample in some]),
                np.array([sample.seconds for sample in some]),
            )
            for name, some in by_class.items()
            if len(some) >= MIN_ROWS
        }

    def _inputs(self, traced: TracedCall) -> list[float]:
        name = traced.call.name.removesuffix("_")
        return [*raw_numbers(traced.call), *(float(name == other) for other in self._operators)]

    def predict(self, calls: Sequence[TracedCall]) -> list[float]:
        """By call."""
        seconds = []
        for traced in calls:
            forest = self._forests.get(class_of(traced.call))
            seconds.append(float(forest.predict(np.array([self._inputs(traced)]))[0]) if forest else 0.0)
        return seconds
