"""What the host's work takes in a model that was never measured: a law learnt from a sweep's random networks.

The host takes longer where more Python functions are called, and where more data goes through the caches between two
pieces of its work: by a power of the bytes. Beside these, each kind of work has a cost of its own. The errors of
networks that were left out choose the power, and how much the costs of kinds count (ridge regression, Hoerl and Kennard
1970). Needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np

from opclock import arithmetic
from opclock.errors import ProfileError
from opclock.estimation import watching
from opclock.estimation.watching import unwatched
from opclock.files import json_text
from opclock.profiles import disturbance, machine_state, predictor_table, state_change, statistics
from opclock.profiles.damage import SYMPTOMS
from opclock.profiles.predictor_table import HOST
from opclock.profiles.reader import ProfileReader
from opclock.profiles.state_change import StateChange
from opclock.profiles.statistics import TWO_SIDED_95, Samples, sums_over_medians

MIN_NETWORKS = 30  # with fewer, models that were measured tell more
MAX_NETWORKS = 500  # the newest: learning takes 5 ms for each
FOLDS = 3
POWERS = (0.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
RIDGES = (3.0, 30.0, 100.0, 300.0, 1000.0)
UNIT_BYTES = 1e6
UNIT_S = 1e-6
LARGEST = 10  # times the median host work: longer ones are disturbances
LEAST_S = 1e-7  # of one piece of host work
DIGITS = 6  # significant: libraries differ in the last bits of a product of matrices
# The code that decides, with this file, what is learnt: where it changed, what was kept is outdated.
CODE = (arithmetic, watching, disturbance, machine_state, state_change, statistics)


@dataclass(frozen=True)
class NetworkHost:
    """The host's work in one network: kinds as ``host_kinds`` names them, their seconds, and the counted calls.

    ``moved``: the bytes that one of its op calls moves on average.
    """

    kinds: tuple[str, ...]
    seconds: Samples
    python_calls: tuple[int, ...]
    moved: float


@dataclass(frozen=True)
class HostLaw:
    """The seconds of a kind of work where op calls move ``UNIT_BYTES`` on average, and how they depend on the bytes.

    Attributes:
        power: of the bytes.
        usual_s: of any kind, without a Python function.
        python_call_s: of each Python function.
        kinds_s: what a kind adds: by operator, and by "module type/operator".
        python_calls: by operator, and "" for all: the usual number of Python functions, for traces without counts.
        deviation: of the logarithm of predicted over measured host work of networks that were left out.
    """

    power: float
    usual_s: float
    python_call_s: float
    kinds_s: dict[str, float]
    python_calls: dict[str, float]
    deviation: float

    @staticmethod
    def read(profile: ProfileReader, device: str, threads: int) -> HostLaw | None:
        """Take what the profile keeps, or learn from its networks and keep that; None where it has too few.

        Raises ProfileError where what is kept is damaged.
        """
        numbers = profile.pools(["in_network"], device, threads, ended=True, most=MAX_NETWORKS)
        if len(numbers) < MIN_NETWORKS:
            return None
        version = _version(numbers)
        if predictor_table.kept_kinds(profile, device, threads, version) == [HOST]:
            return _kept(profile, device, threads)
        learnt = HostLaw.learnt([_network(profile, number, threads) for number in numbers])
        if predictor_table.can_keep(profile):
            facts = json_text(asdict(learnt), sort_keys=True)
            predictor_table.keep(profile, device, threads, version, [(HOST, facts, b"")])
        return learnt

    @staticmethod
    def learnt(networks: Sequence[NetworkHost]) -> HostLaw:
        """Learn from networks."""
        usual = _usual_calls(networks)
        fit = _Fit(networks, usual)
        power, ridge = min(product(POWERS, RIDGES), key=lambda pair: fit.left_out(*pair))
        *kinds, python_call, constant = (arithmetic.rounded(UNIT_S * one, DIGITS) for one in fit.solved(power, ridge))
        return HostLaw(power, constant, python_call, dict(zip(fit.names, kinds, strict=True)), usual,
                       arithmetic.rounded(fit.left_out(power, ridge), DIGITS))  # fmt: skip

    def seconds(self, kinds: Sequence[str], python_calls: Sequence[int], moved: float) -> Samples:
        """The expected seconds of host work.

        Args:
            kinds: before each op call and after the last, see ``host_kinds``.
            python_calls: how many Python functions are called in each; empty where that is not known.
            moved: the bytes that an op call of the model moves on average.

        Returns:
            The seconds of each.
        """
        usual = [self.python_calls.get(_operator(kind), self.python_calls[""]) for kind in kinds]
        counts: Sequence[float] = python_calls or usual
        factor = _factor(moved, self.power)
        return np.array([
            factor * max(LEAST_S, math.fsum((self.usual_s, self.python_call_s * count, *self._own_s(kind))))
            for kind, count in zip(kinds, counts, strict=True)
        ])  # fmt: skip

    def _own_s(self, kind: str) -> list[float]:
        return [self.kinds_s.get(name, 0.0) for name in {kind, _operator(kind)}]

    @property
    def factor(self) -> float:
        """The host's cost by this law times and over this factor is its 95 % interval."""
        return arithmetic.exp(TWO_SIDED_95 * self.deviation)


class _Fit:
    """Least squares of the host's work, with networks left out by folds."""

    def __init__(self, networks: Sequence[NetworkHost], usual: dict[str, float]) -> None:
        self.names = sorted({name for one in networks for kind in one.kinds for name in (kind, _operator(kind))})
        self._networks = networks
        largest_s = LARGEST * float(np.median(np.concatenate([one.seconds for one in networks])))
        mean_s = float(np.mean([one.seconds.sum() for one in networks]))
        self._rows = [self._matrix(one, usual) for one in networks]
        self._weights = [mean_s / max(LEAST_S, float(one.seconds.sum())) for one in networks]
        targets = [np.minimum(one.seconds, largest_s) / UNIT_S for one in networks]
        pairs = list(zip(self._rows, self._weights, strict=True))
        self._squares = [weight * rows.T @ rows for rows, weight in pairs]
        self._products = [weight * rows.T @ one for (rows, weight), one in zip(pairs, targets, strict=True)]

    def _matrix(self, network: NetworkHost, usual: dict[str, float]) -> Samples:
        """Pieces of host work x kinds, Python functions, and a constant."""
        column = {name: number for number, name in enumerate(self.names)}
        rows = np.zeros((len(network.kinds), len(self.names) + 2))
        for row, kind in zip(rows, network.kinds, strict=True):
            row[[column[kind], column[_operator(kind)]]] = 1.0
        counts: Sequence[float] = network.python_calls or [usual[_operator(kind)] for kind in network.kinds]
        rows[:, -2], rows[:, -1] = counts, 1.0
        return rows

    def solved(self, power: float, ridge: float, without: int | None = None) -> Samples:
        """The coefficients in units of ``UNIT_S``, by the networks that are not in the fold ``without``."""
        penalty = np.full(len(self.names) + 2, ridge)
        penalty[-2:] = 1e-6  # Python functions and the constant count in full; without counts, the former is 0
        squares, products = np.diag(penalty), np.zeros(len(penalty))
        for number, network in enumerate(self._networks):
            if number % FOLDS != without:
                factor = _factor(network.moved, power)
                squares = squares + factor**2 * self._squares[number]
                products += factor * self._products[number]
        return np.asarray(np.linalg.solve(squares, products))

    def left_out(self, power: float, ridge: float) -> float:
        """The root mean square of the logarithm of predicted over measured work, of networks that are left out."""
        logs = []
        for fold in range(FOLDS):
            found = self.solved(power, ridge, fold)
            for number, network in enumerate(self._networks):
                if number % FOLDS == fold:
                    pieces = np.maximum(self._rows[number] @ found, LEAST_S / UNIT_S)
                    expected_s = UNIT_S * _factor(network.moved, power) * float(pieces.sum())
                    logs.append(math.log(expected_s / max(LEAST_S, float(network.seconds.sum()))))
        return float(np.sqrt(np.mean(np.square(logs))))


def _usual_calls(networks: Sequence[NetworkHost]) -> dict[str, float]:
    """By operator, and "" for all: the median number of Python functions; 0 where they were not counted."""
    counts: dict[str, list[int]] = {"": []}
    for network in networks:
        for kind, count in zip(network.kinds, network.python_calls or [0] * len(network.kinds), strict=True):
            counts.setdefault(_operator(kind), []).append(count)
            counts[""].append(count)
    return {name: float(np.median(some)) for name, some in counts.items()}


def _factor(moved: float, power: float) -> float:
    return arithmetic.exp(power * arithmetic.log((1.0 + moved) / UNIT_BYTES))


def _operator(kind: str) -> str:
    return kind.rpartition("/")[2]


def _network(profile: ProfileReader, number: int, threads: int) -> NetworkHost:
    """One network's host work in the usual state of the machine, without what watching added."""
    pool = StateChange(profile, threads).of(profile.pool(number))
    host_s = unwatched(pool)[0]
    seconds = np.median(host_s, axis=0) * sums_over_medians(host_s)
    return NetworkHost(pool.host_kinds, seconds, pool.python_calls, float(pool.context.get("bytes_per_call", 0.0)))


def _version(numbers: Sequence[int]) -> str:
    """Name what would be learnt now: 16 hexadecimal digits of the code and the pools."""
    code = predictor_table.code_of(sys.modules[__name__], *CODE)
    return hashlib.sha256(json_text([HOST, code, list(numbers)]).encode()).hexdigest()[:16]


def _kept(profile: ProfileReader, device: str, threads: int) -> HostLaw:
    try:
        return HostLaw(**json.loads(predictor_table.kept(profile, device, threads, HOST)[0]))
    except SYMPTOMS as error:
        raise ProfileError(
            f"the profile {profile.path} is damaged (predictor): restore a copy, or remove what was learnt by 'opclock "
            f"profile prune {profile.path}'"
        ) from error
