"""Gaussian-process regression as arrays: numpy alone trains and evaluates it.

It is smooth, and far from all samples it returns to their mean. A forest keeps the answer of the nearest samples there,
and jumps between them: on shapes of networks, which the sweep's random shapes only surround, it was twice as far off.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from itertools import product

import numpy as np

from opclock.prediction.forest import SEED, Numbers

MAX_POINTS = 2500  # samples that are kept: time grows with their third power
FEW = 600  # samples that choose length and noise
LENGTHS = (3.0, 4.5, 7.0, 10.0)  # in standard deviations of all features together
NOISES = (0.02, 0.05, 0.1, 0.2, 0.4)  # variance of the noise over that of the law
DIGITS = 6  # after the point, of an answer: libraries differ in the last bits of a product of matrices
_CHECKSUM = np.dtype("<u4")


@dataclass(frozen=True)
class GaussianProcess:
    """The samples, and how much each weighs (Rasmussen and Williams 2006, algorithm 2.1).

    Attributes:
        scales: by feature: what it is divided by.
        points: the samples' features, divided by ``scales``.
        weights: by sample.
        mean: of the samples' targets.
    """

    scales: Numbers
    points: Numbers
    weights: Numbers
    mean: float

    @staticmethod
    def train(inputs: Numbers, targets: Numbers) -> GaussianProcess:
        """Learn targets from inputs (samples x features). Length and noise are the most likely ones of a grid."""
        order = np.random.default_rng(SEED).permutation(len(inputs))[:MAX_POINTS]
        inputs, targets = inputs[order], targets[order]
        spread = inputs.std(axis=0)
        spread[spread == 0] = np.inf  # what never differed says nothing
        mean = float(targets.mean())
        some, rest = inputs[:FEW] / spread, targets[:FEW] - mean
        length, noise = max(product(LENGTHS, NOISES), key=lambda pair: _likelihood(some / pair[0], rest, pair[1]))
        points = inputs / (spread * length)
        factor = _factor(points, noise)
        return GaussianProcess(spread * length, points, _solved(factor, targets - mean), mean)

    def predict(self, inputs: Numbers) -> Numbers:
        """The expected answer to each row of inputs (calls x features)."""
        return np.asarray(np.round(self.mean + _kernel(inputs / self.scales, self.points) @ self.weights, DIGITS))

    def to_bytes(self) -> bytes:
        """The arrays as one matrix and its checksum, the inverse of ``from_bytes``."""
        matrix = np.vstack([np.append(self.scales, self.mean), np.column_stack([self.points, self.weights])])
        buffer = io.BytesIO()
        np.save(buffer, matrix.astype("<f8"), allow_pickle=False)
        return np.array([zlib.crc32(buffer.getvalue())], dtype=_CHECKSUM).tobytes() + buffer.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> GaussianProcess:
        """Rebuild from ``to_bytes``. Raises ValueError for any other data."""
        head, body = data[: _CHECKSUM.itemsize], data[_CHECKSUM.itemsize :]
        if np.array([zlib.crc32(body)], dtype=_CHECKSUM).tobytes() != head:
            raise ValueError("not the bytes of a Gaussian process")
        matrix = np.load(io.BytesIO(body), allow_pickle=False)
        return GaussianProcess(matrix[0, :-1], matrix[1:, :-1], matrix[1:, -1], float(matrix[0, -1]))


def _kernel(first: Numbers, second: Numbers) -> Numbers:
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2.0 * (first @ second.T)
    return np.asarray(np.exp(-0.5 * np.maximum(squares, 0.0)))


def _factor(points: Numbers, noise: float) -> Numbers:
    return np.asarray(np.linalg.cholesky(_kernel(points, points) + noise * np.eye(len(points))))


def _solved(factor: Numbers, targets: Numbers) -> Numbers:
    from scipy.linalg import cho_solve

    return np.asarray(cho_solve((factor, True), targets))


def _likelihood(points: Numbers, targets: Numbers, noise: float) -> float:
    """The logarithm of the targets' likelihood with the most likely amplitude, but for a constant."""
    factor = _factor(points, noise)
    variance = float(targets @ _solved(factor, targets)) / len(targets)
    return -0.5 * len(targets) * float(np.log(max(variance, 1e-300))) - float(np.log(np.diag(factor)).sum())
