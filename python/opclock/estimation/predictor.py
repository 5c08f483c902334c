"""Predicts the times of op calls without a measurement from a profile's sweeps. Needs scikit-learn, but no torch.

A model for each operator class learns, from ``features``, the logarithm of the measured time over the shortest time
that the ceilings allow. Trees average training values, so a prediction stays within the measured range: a kernel far
larger than those of the sweep gets the share of the ceilings that the largest ones reached.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from opclock.errors import EstimateError
from opclock.estimation.ceilings import Ceilings
from opclock.estimation.features import Features, features_of
from opclock.profiles.reader import ProfileReader
from opclock.tracing.operator_classes import MAC_CLASSES
from opclock.tracing.trace import TracedCall

TREES = 100  # more change a prediction by less than a percent
TREES_LEFT_OUT = 20  # trees of the forests that only estimate the error
MIN_IN_LEAF = 2  # op calls: one alone may have been disturbed
FOLDS = 3
UNKNOWN_DEVIATION = 1.0  # of log(predicted / measured) where no op call can be left out: a factor of 2.7
MIN_ROWS = 12  # of a kind; with fewer, it is predicted with its class, or from all classes together
MAX_ROWS = 8000  # the newest: training time must not grow with the profile
ANY = ""  # for classes without samples: learnt from all classes that move memory and multiply nothing
SEED = 0


@dataclass(frozen=True)
class Sample:
    """A measured op call to learn from."""

    features: Features
    seconds: float
    key: str
    pool: int


@dataclass(frozen=True)
class Spread:
    """The error of predictions: standard deviations of log(predicted / measured) of calls left out of training.

    ``shared`` is the error that the calls of one pool have in common, because they were timed in the same minutes.
    ``own`` is the rest.
    """

    shared: float
    own: float
    mean_error: float  # mean absolute error, a fraction

    @property
    def total(self) -> float:
        """The standard deviation of one call."""
        return math.hypot(self.shared, self.own)


@dataclass(frozen=True)
class Prediction:
    """The time of one op call."""

    seconds: float
    operator_class: str
    spread: Spread


class _ClassModel:
    """One forest, and its error on calls left out of training."""

    def __init__(self, samples: Sequence[Sample], floor_s: float, numbers: int) -> None:
        self._floor_s = floor_s
        self._numbers = numbers
        self._operators = sorted({sample.features.operator for sample in samples})
        inputs, targets = self._inputs([sample.features for sample in samples]), self._targets(samples)
        self.spread = self._left_out(samples, inputs, targets)
        self._forest = _forest(TREES, inputs, targets)

    def _inputs(self, calls: Sequence[Features]) -> npt.NDArray[np.float64]:
        return np.array([
            [*one.numbers[: self._numbers], *(float(one.operator == name) for name in self._operators)]
            for one in calls
        ])  # fmt: skip

    def _targets(self, samples: Sequence[Sample]) -> npt.NDArray[np.float64]:
        return np.array([math.log(sample.seconds / self._min_s(sample.features)) for sample in samples])

    def _min_s(self, call: Features) -> float:
        return call.min_s + self._floor_s

    def _left_out(
        self, samples: Sequence[Sample], inputs: npt.NDArray[np.float64], targets: npt.NDArray[np.float64]
    ) -> Spread:
        """The errors of op calls that were left out of training with all their measurements."""
        from sklearn.model_selection import GroupKFold

        keys = [sample.key for sample in samples]
        folds = min(FOLDS, len(set(keys)))
        if folds < 2:  # one op call alone cannot be left out: its error is not known
            return Spread(UNKNOWN_DEVIATION, UNKNOWN_DEVIATION, UNKNOWN_DEVIATION)
        errors = np.zeros(len(samples))
        for known, unknown in GroupKFold(folds).split(inputs, targets, keys):
            forest = _forest(TREES_LEFT_OUT, inputs[known], targets[known])
            errors[unknown] = forest.predict(inputs[unknown]) - targets[unknown]
        shared = _shared_deviation(errors, [sample.pool for sample in samples])
        own = math.sqrt(max(0.0, float(np.mean(errors**2)) - shared**2))
        return Spread(shared, own, float(np.mean(np.abs(np.expm1(errors)))))

    def predict(self, calls: Sequence[Features]) -> list[float]:
        """The predicted seconds of each call."""
        targets = self._forest.predict(self._inputs(calls))
        return [
            self._min_s(one) * math.exp(round(float(target), 9)) for one, target in zip(calls, targets, strict=True)
        ]


def _forest(trees: int, inputs: npt.NDArray[np.float64], targets: npt.NDArray[np.float64]) -> Any:  # noqa: ANN401
    # Extremely randomized trees (Geurts et al. 2006): smoother than a random forest, and equal on every machine.
    from sklearn.ensemble import ExtraTreesRegressor

    # One thread: several would add the trees up in a varying order, which changes the last digits, and scikit-learn's
    # threads change the process's warning filters under one another.
    return ExtraTreesRegressor(trees, min_samples_leaf=MIN_IN_LEAF, max_features=0.6, random_state=SEED, n_jobs=1).fit(
        inputs, targets
    )


def _shared_deviation(errors: npt.NDArray[np.float64], pools: Sequence[int]) -> float:
    """The standard deviation that calls of one pool share, by one-way analysis of variance."""
    groups: dict[int, list[float]] = {}
    for value, pool in zip(errors, pools, strict=True):
        groups.setdefault(pool, []).append(float(value))
    several = [np.array(values) for values in groups.values() if len(values) > 1]
    if len(several) < 2:
        return float(np.std(errors))
    within = float(np.mean([values.var(ddof=1) for values in several]))
    between = float(np.var([values.mean() for values in several], ddof=1))
    return math.sqrt(max(0.0, between - within * float(np.mean([1 / len(values) for values in several]))))


class Predictor:
    """Forests by operator class, each trained when it is first used."""

    def __init__(self, samples: Sequence[Sample], ceilings: Ceilings) -> None:
        self._ceilings = ceilings
        self._by_kind: dict[str, list[Sample]] = {}
        for sample in samples:
            self._by_kind.setdefault(sample.features.kind, []).append(sample)
        self._models: dict[str, _ClassModel] = {}
        # The cost that no ceiling explains: dispatch. Views show it, because they do nothing else.
        shortest = self._by_kind.get("view", list(samples))
        self._floor_s = float(np.median([sample.seconds for sample in shortest]))

    @staticmethod
    def train(profile: ProfileReader, threads: int, device: str = "cpu") -> Predictor:
        """Learn from the sweeps in a profile.

        Args:
            profile: holds sweeps and ceilings.
            threads: the number of threads that both were measured with.
            device: the device that the sweeps were measured on.

        Returns:
            A predictor for this number of threads.

        Raises:
            EstimateError: the profile has no sweep or no ceilings with this number of threads.
        """
        ceilings = Ceilings.read(profile, threads)
        samples = training_samples(profile, threads, device, ceilings)
        if not samples:
            raise EstimateError(
                f"{profile.path} has no sweep with {threads} threads to learn from: run 'opclock sweep --preset board "
                f"--threads {threads}' with this profile on its board"
            )
        return Predictor(samples, ceilings)

    @cached_property
    def kinds(self) -> list[str]:
        """The kinds of kernels with enough samples for their own forest."""
        return sorted(name for name, samples in self._by_kind.items() if len(samples) >= MIN_ROWS)

    def spread(self, kind: str) -> Spread:
        """The error with which a kind of kernel is predicted."""
        return self._model(kind).spread

    def predict(self, calls: Sequence[TracedCall], working_set: int) -> list[Prediction | None]:
        """Predict the times of op calls.

        Args:
            calls: the op calls with their outputs.
            working_set: number of binary digits of the bytes that one inference touches, as in ``Condition``.

        Returns:
            The time of each call; None where no sample is of a similar class.
        """
        inputs = [features_of(call, self._ceilings, working_set) for call in calls]
        by_model: dict[str, list[int]] = {}
        for number, one in enumerate(inputs):
            if one.operator_class != "other":
                by_model.setdefault(self._name(one), []).append(number)
        predictions: list[Prediction | None] = [None] * len(calls)
        for name, numbers in by_model.items():
            if not self._samples(name):
                continue
            model = self._model(name)
            for number, seconds in zip(numbers, model.predict([inputs[i] for i in numbers]), strict=True):
                predictions[number] = Prediction(seconds, inputs[number].operator_class, model.spread)
        return predictions

    def _name(self, call: Features) -> str:
        near = ("gemm",) if call.operator_class == "recurrent" else ()
        return next((name for name in (call.kind, call.operator_class, *near) if name in self.kinds), ANY)

    def _samples(self, name: str) -> list[Sample]:
        if name != ANY:
            return self._by_kind.get(name, [])
        every = (one for some in self._by_kind.values() for one in some)
        return [one for one in every if one.features.operator_class not in MAC_CLASSES]

    def _model(self, name: str) -> _ClassModel:
        if name not in self._models:
            samples = self._samples(name)
            self._models[name] = _ClassModel(samples, self._floor_s, min(len(one.features.numbers) for one in samples))
        return self._models[name]


def training_samples(profile: ProfileReader, threads: int, device: str, ceilings: Ceilings) -> list[Sample]:
    """The newest sweep measurements of a profile, with their features."""
    samples: list[Sample] = []
    for number in profile.pools(["interleaved"], device, threads, ended=True, most=MAX_ROWS // 8):
        pool = profile.pool(number)
        calls = profile.traced(pool.positions)
        for key, positions in pool.positions.items():
            if key in calls:
                call = features_of(calls[key], ceilings, pool.condition.working_set)
                samples.append(Sample(call, float(np.median(pool.seconds[:, positions])), key, number))
        if len(samples) >= MAX_ROWS:
            break
    return samples
