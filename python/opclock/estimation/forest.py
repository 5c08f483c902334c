"""Extremely randomized trees as arrays: scikit-learn trains them, and numpy alone evaluates them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

MIN_IN_LEAF = 2  # op calls: one alone may have been disturbed
SEED = 0
DIGITS = 9  # after the point, of an answer: the last bits of a sum differ between processors
_HEAD = np.dtype("<u4")


@dataclass(frozen=True)
class Forest:
    """The nodes of all trees, one tree after the other. A node's children come after it."""

    roots: npt.NDArray[np.int32]  # by tree: the number of its first node
    left: npt.NDArray[np.int32]  # by node: the child where the feature is at most the value
    right: npt.NDArray[np.int32]  # the other child
    value: npt.NDArray[np.float32]  # the threshold; in a leaf, its answer
    feature: npt.NDArray[np.int16]  # the feature that is compared; -1 in a leaf

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
        roots = np.cumsum([0, *(part.node_count for part in parts[:-1])])
        left, right, threshold, answer, feature = (
            np.concatenate(arrays)
            for arrays in zip(
                *(
                    (part.children_left + root, part.children_right + root, part.threshold, part.value.ravel(),
                     part.feature)
                    for part, root in zip(parts, roots, strict=True)
                ), strict=True
            )
        )  # fmt: skip
        leaf = feature < 0
        return Forest(
            roots.astype(np.int32),
            np.where(leaf, 0, left).astype(np.int32),
            np.where(leaf, 0, right).astype(np.int32),
            np.where(leaf, answer.astype(np.float32), _below(threshold)),
            np.where(leaf, -1, feature).astype(np.int16),
        )

    def predict(self, inputs: Numbers) -> Numbers:
        """The mean answer of the trees to each row of inputs (calls x features)."""
        rows = inputs.astype(np.float32)
        at = np.repeat(self.roots, len(rows))  # by tree and call: the node that has been reached
        row = np.tile(np.arange(len(rows)), len(self.roots))
        moving = np.arange(at.size)
        while True:
            feature = self.feature[at[moving]]
            moving, feature = moving[feature >= 0], feature[feature >= 0]
            if not moving.size:
                break
            node = at[moving]
            at[moving] = np.where(rows[row[moving], feature] <= self.value[node], self.left[node], self.right[node])
        answers = self.value[at].reshape(len(self.roots), len(rows)).astype(float)
        # In the order of the trees, however many calls there are: numpy's own sum changes its order with the shape.
        return np.asarray(np.round(np.cumsum(answers, axis=0)[-1] / len(self.roots), DIGITS))

    def to_bytes(self) -> bytes:
        """The arrays and their checksum, the inverse of ``from_bytes``."""
        arrays = b"".join(
            np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes()
            for array in (self.roots, self.left, self.right, self.value, self.feature)
        )
        head = np.array([zlib.crc32(arrays), len(self.roots), len(self.left)], dtype=_HEAD)
        return head.tobytes() + arrays

    @staticmethod
    def from_bytes(data: bytes) -> Forest:
        """Rebuild from ``to_bytes``. Raises ValueError for any other data."""
        head = 3 * _HEAD.itemsize
        checksum, trees, nodes = (int(one) for one in np.frombuffer(data[:head].ljust(head, b"\0"), _HEAD))
        if zlib.crc32(data[head:]) != checksum or len(data) != head + 4 * trees + 14 * nodes:
            raise ValueError("not the bytes of a forest")
        arrays = []
        for count, kind in ((trees, "<i4"), (nodes, "<i4"), (nodes, "<i4"), (nodes, "<f4"), (nodes, "<i2")):
            arrays.append(np.frombuffer(data, kind, count, head))
            head += arrays[-1].nbytes
        return Forest(*arrays)


def _below(thresholds: Numbers) -> npt.NDArray[np.float32]:
    """The largest float32 that is not above each threshold: features are compared as float32, so nothing changes."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)
