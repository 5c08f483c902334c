"""What is learnt about one class of op calls: a forest, and its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from opclock import arithmetic
from opclock.prediction.features import Features
from opclock.prediction.forest import Forest, Numbers
from opclock.prediction.gaussian_process import GaussianProcess


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


REGRESSORS: dict[str, type[Forest | GaussianProcess]] = {"forest": Forest, "gaussian_process": GaussianProcess}


@dataclass(frozen=True)
class Base:
    """What a call takes by a simple law: a fixed cost, and the work that the ceilings allow in the shortest time.

    Attributes:
        fixed_s: the cost that no ceiling explains, in seconds.
        factors: by kind of work (``Features.work_s``): how many times the shortest time it takes; they add up. None:
            the shortest time of the whole call counts once.
        least: no call takes less than so many times its shortest time by the ceilings.
    """

    fixed_s: float
    factors: tuple[float, ...] | None = None
    least: float = 0.0

    def seconds(self, call: Features) -> float:
        """Of a call."""
        if self.factors is None:
            return call.min_s + self.fixed_s
        return self.fixed_s + math.fsum(one * work_s for one, work_s in zip(self.factors, call.work_s, strict=True))


@dataclass(frozen=True)
class ClassModel:
    """Predicts the logarithm of a call's time over what it takes by a simple law."""

    regressor: Forest | GaussianProcess
    spread: Spread
    base: Base
    numbers: int  # how many of a call's numbers are its features
    operators: tuple[str, ...]  # each is a feature of its own

    def predict(self, calls: Sequence[Features]) -> list[float]:
        """The predicted seconds of each call."""
        answers = self.regressor.predict(inputs_of(calls, self.numbers, self.operators, self.base))
        return [
            max(self.base.seconds(one) * arithmetic.exp(answer), self.base.least * one.min_s)
            for one, answer in zip(calls, answers, strict=True)
        ]

    def facts(self) -> dict[str, Any]:
        """Everything but the regressor's arrays, as JSON-ready data."""
        name = next(name for name, kind in REGRESSORS.items() if isinstance(self.regressor, kind))
        return {"regressor": name, "spread": asdict(self.spread), "base": asdict(self.base), "numbers": self.numbers,
                "operators": list(self.operators)}  # fmt: skip

    @staticmethod
    def of(facts: dict[str, Any], arrays: bytes) -> ClassModel:
        """Rebuild from ``facts`` and the regressor's bytes. Raises KeyError, TypeError or ValueError for other data."""
        regressor = REGRESSORS[facts["regressor"]].from_bytes(arrays)
        base = Base(**{**facts["base"], "factors": _tuple(facts["base"]["factors"])})
        return ClassModel(regressor, Spread(**facts["spread"]), base, facts["numbers"], tuple(facts["operators"]))


def _tuple(values: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(values)


def inputs_of(calls: Sequence[Features], numbers: int, operators: Sequence[str], base: Base) -> Numbers:
    """The features of calls as a matrix, calls x features.

    These are their numbers, 1 for the operator that it is, and what it takes by a fitted law, as a logarithm.
    """
    width = numbers + len(operators)
    matrix = np.zeros((len(calls), width + (base.factors is not None)))
    column = {name: number for number, name in enumerate(operators, numbers)}
    for row, one in zip(matrix, calls, strict=True):
        row[:numbers] = one.numbers[:numbers]
        if one.operator in column:
            row[column[one.operator]] = 1.0
        if base.factors is not None:
            row[-1] = arithmetic.log(base.seconds(one))
    return matrix
