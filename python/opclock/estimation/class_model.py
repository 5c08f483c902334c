"""What is learnt about one class of op calls: a forest, and its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from opclock.estimation.features import Features
from opclock.estimation.forest import Forest, Numbers


@dataclass(frozen=True)
class Spread:
    """The error of predictions: of log(predicted / measured) of calls that were left out of training.

    ``shared`` is the standard deviation of the error that the calls of one pool have in common, because they were timed
    in the same minutes. ``own`` is that of the rest. The intervals are conformal (Vovk et al. 2005): they held 95 % of
    what was left out, whatever the errors' distribution.
    """

    shared: float
    own: float
    mean_error: float  # mean absolute error, a fraction
    call_95: float  # 95 % of the single calls were within this error
    sum_95: float  # 95 % of the sums over a pool's calls were within so many of their standard deviations

    @property
    def total(self) -> float:
        """The standard deviation of one call."""
        return math.hypot(self.shared, self.own)

    def of_sum(self, seconds: Sequence[float]) -> float:
        """The standard deviation of the error of a sum: what calls share adds up, the rest partly cancels out.

        Args:
            seconds: of each different call, as often as it occurs.

        Returns:
            As a fraction of the sum.
        """
        squares = math.fsum(one * one for one in seconds) / math.fsum(seconds) ** 2
        return math.hypot(self.shared, self.own * math.sqrt(squares))


@dataclass(frozen=True)
class ClassModel:
    """Predicts the logarithm of a call's time over the shortest time that the ceilings allow."""

    forest: Forest
    spread: Spread
    floor_s: float  # the cost that no ceiling explains, in seconds
    numbers: int  # how many of a call's numbers are its features
    operators: tuple[str, ...]  # each is a feature of its own

    def inputs(self, calls: Sequence[Features]) -> Numbers:
        """The features, calls x features."""
        return inputs_of(calls, self.numbers, self.operators)

    def predict(self, calls: Sequence[Features]) -> list[float]:
        """The predicted seconds of each call."""
        answers = self.forest.predict(self.inputs(calls))
        return [(one.min_s + self.floor_s) * math.exp(answer) for one, answer in zip(calls, answers, strict=True)]

    def facts(self) -> dict[str, Any]:
        """Everything but the forest, as JSON-ready data."""
        return {"spread": asdict(self.spread), "floor_s": self.floor_s, "numbers": self.numbers,
                "operators": list(self.operators)}  # fmt: skip

    @staticmethod
    def of(facts: dict[str, Any], forest: Forest) -> ClassModel:
        """Rebuild from ``facts``. Raises KeyError or TypeError for any other data."""
        return ClassModel(
            forest, Spread(**facts["spread"]), facts["floor_s"], facts["numbers"], tuple(facts["operators"])
        )


def inputs_of(calls: Sequence[Features], numbers: int, operators: Sequence[str]) -> Numbers:
    """The features of calls as a matrix, calls x features: their numbers, and 1 for the operator that it is."""
    width = numbers + len(operators)
    matrix = np.zeros((len(calls), width))
    column = {name: number for number, name in enumerate(operators, numbers)}
    for row, one in zip(matrix, calls, strict=True):
        row[:numbers] = one.numbers[:numbers]
        if one.operator in column:
            row[column[one.operator]] = 1.0
    return matrix
