"""Trains class models from the sweeps in a profile. Needs scikit-learn, but no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from opclock import arithmetic
from opclock.prediction.ceilings import Ceilings
from opclock.prediction.class_model import Base, ClassModel, Spread, inputs_of
from opclock.prediction.features import NATIVE, Features, features_of
from opclock.prediction.forest import Forest, Numbers
from opclock.prediction.gaussian_process import GaussianProcess
from opclock.prediction.surroundings import Between, in_any_order, in_order
from opclock.profiles.condition import Timing
from opclock.profiles.machine_state import MachineState, state_of_pools
from opclock.profiles.pool import Pool
from opclock.profiles.reader import ProfileReader
from opclock.profiles.state_change import StateChange
from opclock.profiles.statistics import TWO_SIDED_95, sums_over_medians
from opclock.tracing.operator_classes import MAC_CLASSES
from opclock.tracing.trace import TracedCall

TREES = 100  # more change a prediction by less than a percent
TREES_LEFT_OUT = 20  # trees of the forests that only estimate the error
FOLDS = 3
UNKNOWN_DEVIATION = 1.0  # of log(predicted / measured) where no op call can be left out: a factor of 2.7
UNKNOWN_SPREAD = Spread(UNKNOWN_DEVIATION, UNKNOWN_DEVIATION, UNKNOWN_DEVIATION,
                        TWO_SIDED_95 * math.hypot(UNKNOWN_DEVIATION, UNKNOWN_DEVIATION), TWO_SIDED_95)  # fmt: skip
MIN_ROWS = 12  # of a kind; with fewer, it is predicted with its class, or from all classes together
MAX_ROWS = 12_000  # the newest: training time must not grow with the profile
MAX_POOLS = MAX_ROWS // 8
SMOOTH = ("convolution", NATIVE, "gemm")  # kinds whose shapes are drawn so densely that a smooth law is learnt
MIN_NETWORK_ROWS = 30  # samples in networks that alone show the error of predictions, which are for networks
TIMINGS: tuple[Timing, ...] = ("interleaved", "in_network")  # of a sweep's kernels and networks
MIN_SMOOTH = 100  # samples of such a kind
FASTEST = 0.01  # the fraction of the samples that may have been faster than they can be again
FIXED_UNIT_S, MIN_BASE_S, FITS = 1e-6, 1e-7, 8
FIT_DIGITS = 6  # significant: libraries differ in the last bits of a product of matrices
ANY = ""  # for classes without samples: learnt from all classes that move memory and multiply nothing


@dataclass(frozen=True)
class Sample:
    """A measured op call to learn from."""

    features: Features
    seconds: float
    key: str
    pool: int
    in_network: bool = False

    @property
    def group(self) -> str:
        """With what it is left out of training: with its network, or with all measurements of its op call."""
        return f"pool {self.pool}" if self.in_network else self.key


class Training:
    """Class models, each trained when it is first used."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        by_kind: dict[str, list[Sample]] = {}
        for sample in samples:
            by_kind.setdefault(sample.features.kind, []).append(sample)
        # The cost that no ceiling explains: dispatch. Views show it, because they do nothing else.
        shortest = by_kind.get("view", samples)
        self._floor_s = float(np.median([sample.seconds for sample in shortest]))
        self._samples = {name: some for name, some in sorted(by_kind.items()) if len(some) >= MIN_ROWS}
        if unlike := [one for one in samples if one.features.operator_class not in MAC_CLASSES]:
            self._samples[ANY] = unlike
        self._models: dict[str, ClassModel] = {}

    @property
    def names(self) -> list[str]:
        """The kinds of kernels with a model of their own, and ANY where something is learnt for all others."""
        return list(self._samples)

    def model(self, name: str) -> ClassModel:
        """The model of one of ``names``."""
        if name not in self._models:
            self._models[name] = _trained(name, self._samples[name], self._floor_s)
        return self._models[name]


def _trained(kind: str, samples: Sequence[Sample], floor_s: float) -> ClassModel:
    calls = [sample.features for sample in samples]
    numbers = min(len(one.numbers) for one in calls)
    operators = tuple(sorted({one.operator for one in calls}))
    smooth = kind in SMOOTH and len(samples) >= MIN_SMOOTH
    base = _fitted_base(samples) if smooth else Base(floor_s)
    inputs = inputs_of(calls, numbers, operators, base)
    targets = np.array([arithmetic.log(sample.seconds / base.seconds(sample.features)) for sample in samples])
    spread = _left_out(samples, inputs, targets, smooth=smooth)
    return ClassModel(_regressor(inputs, targets, smooth, TREES), spread, base, numbers, operators)


def _regressor(inputs: Numbers, targets: Numbers, smooth: bool, trees: int) -> Forest | GaussianProcess:
    return GaussianProcess.train(inputs, targets) if smooth else Forest.train(trees, inputs, targets)


def _fitted_base(samples: Sequence[Sample]) -> Base:
    """The fixed cost and the factors of each kind of work, none negative, with the least squares of relative errors.

    An error counts relative to the geometric mean of measured and fitted seconds, else too low a fit would look better.
    """
    from scipy.optimize import nnls

    work_s = np.array([[FIXED_UNIT_S, *sample.features.work_s] for sample in samples])
    measured_s = np.array([sample.seconds for sample in samples])
    fitted_s = measured_s
    for _ in range(FITS):
        weights = 1.0 / np.sqrt(measured_s * fitted_s)
        found, _ = nnls(work_s * weights[:, None], measured_s * weights)
        fitted_s = np.maximum(work_s @ found, MIN_BASE_S)
    fixed_s, *factors = (arithmetic.rounded(float(one), FIT_DIGITS) for one in found)
    shares = measured_s / np.array([max(MIN_BASE_S, sample.features.min_s) for sample in samples])
    least = min(1.0, float(np.quantile(shares, FASTEST)))
    return Base(max(MIN_BASE_S, fixed_s * FIXED_UNIT_S), tuple(factors), least)


def _left_out(samples: Sequence[Sample], inputs: Numbers, targets: Numbers, *, smooth: bool) -> Spread:
    """The errors of op calls that were left out of training with all their measurements, or with their network."""
    from sklearn.model_selection import GroupKFold

    groups = [sample.group for sample in samples]
    folds = min(FOLDS, len(set(groups)))
    if folds < 2:  # one op call alone cannot be left out: its error is not known
        return UNKNOWN_SPREAD
    errors = np.zeros(len(samples))
    for known, unknown in GroupKFold(folds).split(inputs, targets, groups):
        regressor = _regressor(inputs[known], targets[known], smooth, TREES_LEFT_OUT)
        errors[unknown] = regressor.predict(inputs[unknown]) - targets[unknown]
    if sum(sample.in_network for sample in samples) >= MIN_NETWORK_ROWS:
        errors = errors[[sample.in_network for sample in samples]]
        samples = [sample for sample in samples if sample.in_network]
    shared = _shared_deviation(errors, [sample.pool for sample in samples])
    own = math.sqrt(max(0.0, float(np.mean(errors**2)) - shared**2))
    mean_error = arithmetic.rounded(float(np.mean(np.abs(np.expm1(errors)))))
    spread = Spread(shared, own, mean_error, _conformal(np.abs(errors)), TWO_SIDED_95)
    return replace(spread, sum_95=_conformal(_errors_of_sums(samples, errors, spread)))


def _errors_of_sums(samples: Sequence[Sample], errors: Numbers, spread: Spread) -> Numbers:
    """By pool: the error of the sum over its calls, in standard deviations."""
    groups: dict[int, list[tuple[float, float]]] = {}
    for sample, error in zip(samples, errors, strict=True):
        groups.setdefault(sample.pool, []).append((sample.seconds * arithmetic.exp(error), sample.seconds))
    found = []
    for pairs in groups.values():
        predicted_s, measured_s = ([pair[side] for pair in pairs] for side in (0, 1))
        deviation = spread.of_sum(predicted_s)
        error = abs(arithmetic.log(math.fsum(predicted_s) / math.fsum(measured_s)))
        found.append(error / deviation if deviation else 0.0)
    return np.array(found)


def _conformal(scores: Numbers) -> float:
    """The score that one more of the same kind stays within with a chance of 95 %; the largest where they are few."""
    return float(np.sort(scores)[min(len(scores), math.ceil(0.95 * (len(scores) + 1))) - 1])


def _shared_deviation(errors: Numbers, pools: Sequence[int]) -> float:
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


def training_pools(profile: ProfileReader, threads: int, device: str) -> list[int]:
    """The newest pools of sweeps, of kernels and of networks, newest first."""
    return profile.pools(TIMINGS, device, threads, ended=True, most=MAX_POOLS)


def training_state(profile: ProfileReader, threads: int, device: str) -> MachineState:
    """The usual state of the machine while the sweeps were timed; what is learnt from them holds for it."""
    return state_of_pools(profile, training_pools(profile, threads, device))


def training_samples(profile: ProfileReader, threads: int, device: str, ceilings: Ceilings) -> list[Sample]:
    """The newest sweep measurements of a profile, with their features.

    All seconds are those of one state of the machine, so that its drift during a sweep is not learnt. They add up to
    the median of a pool's rounds, as those of a measured model do.
    """
    samples: list[Sample] = []
    state = training_state(profile, threads, device)
    change = StateChange(profile, threads, state if state.known else None)
    for number in training_pools(profile, threads, device):
        pool = change.of(profile.pool(number))
        calls, scale = profile.traced(pool.positions), sums_over_medians(pool.seconds)
        in_network = pool.condition.timing == "in_network"
        between = _between(pool, calls)
        for key, positions in pool.positions.items():
            if key in calls:
                call = features_of(
                    calls[key], ceilings, pool.condition.working_set, between[key], in_network=in_network
                )
                seconds = scale * float(np.median(pool.seconds[:, positions]))
                samples.append(Sample(call, seconds, key, number, in_network))
        if len(samples) >= MAX_ROWS:
            break
    return samples


def _between(pool: Pool, calls: Mapping[str, TracedCall]) -> dict[str, Between]:
    """By op call: what runs between two of its runs."""
    if pool.condition.in_order and all(key in calls for key in pool.keys):
        return in_order([calls[key] for key in pool.keys])
    return in_any_order(pool.keys, calls)
