"""Extremely randomized trees as arrays: scikit-learn trains them, and numpy alone evaluates them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

MIN_IN_LEAF = 2  # op calls: one alone may have been disturbed
SEED = 0
DIGITS = 9  # after the point, of an answer: the last bits of a sum differ between processors
_HEAD = np.dtype("<u4")
_BEGIN = 4 * _HEAD.itemsize  # of the arrays: behind the checksum, the depth, and the numbers of trees and nodes


@dataclass(frozen=True)
class Forest:
    """The nodes of all trees, one tree after the other. A leaf is its own child: every way may go on from there."""

    depth: int  # steps after which every way has reached a leaf
    roots: npt.NDArray[np.int32]  # by tree: the number of its first node
    children: npt.NDArray[np.int32]  # two a node: where the feature is at most the value, and where it is larger
    value: npt.NDArray[np.float32]  # by node: the threshold; in a leaf, its answer
    feature: npt.NDArray[np.int16]  # by node: the feature that is compared; 0 in a leaf

    @staticmethod
    def train(trees: int, inputs: Numbers, targets: Numbers) -> Forest:
        """Learn targets from inputs (samples x features), equally on every machine.

        Extremely randomized trees (Geurts et al. 2006) are smoother than a random forest.
        """
        from sklearn.ensemble import ExtraTreesRegressor

        # One thread: scikit-learn's threads change the process's warning filters under one another.
        trained = ExtraTreesRegressor(
            trees, min_samples_leaf=MIN_IN_LEAF, max_features=0.6, random_state=SEED, n_jobs=1
        ).fit(inputs, targets)
        parts = [one.tree_ for one in trained.estimators_]
        counts = [part.node_count for part in parts]
        roots = np.cumsum([0, *counts[:-1]])
        feature, threshold, answer = (
            np.concatenate([getattr(part, name).ravel() for part in parts])
            for name in ("feature", "threshold", "value")
        )
        children = np.concatenate([
            np.stack([part.children_left, part.children_right], axis=1) + root
            for part, root in zip(parts, roots, strict=True)
        ])  # fmt: skip
        leaf = feature < 0
        children[leaf] = np.flatnonzero(leaf)[:, None]
        return Forest(
            max(part.max_depth for part in parts),
            roots.astype(np.int32),
            children.ravel().astype(np.int32),
            np.where(leaf, answer.astype(np.float32), _below(threshold)),
            np.where(leaf, 0, feature).astype(np.int16),
        )

    def predict(self, inputs: Numbers) -> Numbers:
        """The mean answer of the trees to each row of inputs (calls x features)."""
        rows, trees = inputs.astype(np.float32), len(self.roots)
        numbers = rows.ravel()
        first = np.tile(np.arange(len(rows)) * rows.shape[1], trees)  # by tree and call: where its features begin
        node = np.repeat(self.roots, len(rows))  # and the node that it has reached
        for _ in range(self.depth):
            larger = numbers.take(first + self.feature.take(node)) > self.value.take(node)
            node = self.children.take(2 * node + larger)
        answers = self.value.take(node).reshape(trees, len(rows)).astype(float)
        # In the order of the trees, however many calls there are: numpy's own sum changes its order with the shape.
        return np.asarray(np.round(np.cumsum(answers, axis=0)[-1] / trees, DIGITS))

    def to_bytes(self) -> bytes:
        """The arrays and their checksum, the inverse of ``from_bytes``."""
        head = np.array([self.depth, len(self.roots), len(self.value)], dtype=_HEAD)
        arrays = (self.roots, self.children, self.value, self.feature)
        data = head.tobytes() + b"".join(array.astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays)
        return np.array([zlib.crc32(data)], dtype=_HEAD).tobytes() + data

    @staticmethod
    def from_bytes(data: bytes) -> Forest:
        """Rebuild from ``to_bytes``. Raises ValueError for any other data."""
        checksum, depth, trees, nodes = (int(one) for one in np.frombuffer(data[:_BEGIN].ljust(_BEGIN, b"\0"), _HEAD))
        if zlib.crc32(data[_HEAD.itemsize :]) != checksum or len(data) != _BEGIN + 4 * trees + 14 * nodes:
            raise ValueError("not the bytes of a forest")
        arrays: list[npt.NDArray[Any]] = []
        begin = _BEGIN
        for count, kind in ((trees, "<i4"), (2 * nodes, "<i4"), (nodes, "<f4"), (nodes, "<i2")):
            arrays.append(np.frombuffer(data, kind, count, begin))
            begin += arrays[-1].nbytes
        return Forest(depth, *arrays)


def _below(thresholds: Numbers) -> npt.NDArray[np.float32]:
    """The largest float32 that is not above each threshold: features are compared as float32, so nothing changes."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)
