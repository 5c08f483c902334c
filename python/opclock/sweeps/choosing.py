"""Chooses the op calls whose times would narrow models' estimates most. Needs no torch.

The interval of what was predicted of a model is as ``KernelTimes.predicted_share`` computes it: by kind of kernel the
shared error of the op calls adds up, their own errors partly cancel, and the kinds are independent. An op call that is
measured takes no more part in it: what is left of its interval is small beside that of a prediction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from opclock.prediction.class_model import Spread

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Unmeasured:
    """An op call that models have, and that was predicted.

    Attributes:
        key: of the op call.
        spread: the error of the prediction. Op calls of one kind have the same.
        seconds: by model: the predicted seconds of all its occurrences there.
        cost_s: seconds that timing it takes.
    """

    key: str
    spread: Spread
    seconds: tuple[float, ...]
    cost_s: float


class Uncertainty:
    """What the intervals of models owe to op calls that were not measured."""

    def __init__(self, calls: Sequence[Unmeasured], totals_s: Sequence[float]) -> None:
        """Take the op calls, and by model the estimated seconds of the whole."""
        kinds = list(dict.fromkeys(one.spread for one in calls))
        self._kind = np.array([kinds.index(one.spread) for one in calls], dtype=int)
        self._seconds = np.array([one.seconds for one in calls]).reshape(len(calls), len(totals_s))
        self._totals_s = np.array(totals_s)
        self._shared = np.array([(kind.sum_95 * kind.shared) ** 2 for kind in kinds])[self._kind][:, None]
        self._own = np.array([(kind.sum_95 * kind.own) ** 2 for kind in kinds])[self._kind][:, None]
        self._sums = np.zeros((len(kinds), len(totals_s)))  # seconds by kind and model
        np.add.at(self._sums, self._kind, self._seconds)
        self._squares = self._parts_of_sums().sum(axis=0)

    def _parts_of_sums(self) -> Numbers:
        """By op call and model: its part of the squared width. Those of a kind add up to the kind's."""
        return np.asarray(self._seconds * (self._shared * self._sums[self._kind] + self._own * self._seconds))

    @property
    def widths(self) -> Numbers:
        """By model: half the width of the interval over the whole."""
        return np.asarray(np.sqrt(self._squares) / self._totals_s)

    def gains(self) -> Numbers:
        """By op call: by how much measuring it narrows the intervals over their wholes, summed over the models."""
        without = np.maximum(0.0, self._squares - self._lost())
        return np.asarray(((np.sqrt(self._squares) - np.sqrt(without)) / self._totals_s).sum(axis=1))

    def _lost(self) -> Numbers:
        """By op call and model: what the squared width loses where it is measured."""
        both = self._sums[self._kind] * 2.0 - self._seconds
        return np.asarray(self._seconds * (self._shared * both + self._own * self._seconds))

    def measured(self, number: int) -> None:
        """Leave out the op call of this number."""
        self._squares = np.maximum(0.0, self._squares - self._lost()[number])
        self._sums[self._kind[number]] -= self._seconds[number]
        self._seconds[number] = 0.0


def most_useful_first(calls: Sequence[Unmeasured], totals_s: Sequence[float]) -> Iterator[Unmeasured]:
    """Yield op calls, each time the one that narrows the models' intervals most per second of timing.

    Args:
        calls: that were predicted.
        totals_s: by model, the estimated seconds of the whole.

    Returns:
        All of them, each once.
    """
    uncertainty = Uncertainty(calls, totals_s)
    costs_s = np.array([one.cost_s for one in calls])
    left = np.ones(len(calls), dtype=bool)
    for _ in calls:
        number = int(np.argmax(np.where(left, uncertainty.gains() / costs_s, -1.0)))
        left[number] = False
        yield calls[number]
        uncertainty.measured(number)
