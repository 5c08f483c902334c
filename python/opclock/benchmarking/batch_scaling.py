"""Throughput by batch size, and the smallest batch that reaches a fraction of the best throughput."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

from opclock.flags import Flag

MIN_GROWTH = 0.02  # of the best throughput so far: smaller growth is within the noise
MAX_FLAT = 2  # batches in a row without growth end the doubling: one alone may just suit the kernels badly
Source = Literal["measured", "estimated"]


@dataclass(frozen=True)
class BatchPoint:
    """One batch size: median latency of the whole batch with its 95 % interval, in seconds."""

    batch: int
    latency_s: float
    low_s: float
    high_s: float
    peak_bytes: int = 0  # of the process that ran it; 0 for an estimate
    flags: tuple[Flag, ...] = ()

    @property
    def throughput_per_s(self) -> float:
        """Items per second."""
        return self.batch / self.latency_s if self.latency_s else float("inf")

    @property
    def throughput_interval_per_s(self) -> tuple[float, float]:
        """The 95 % interval of the throughput; the upper end is infinite where the latency's lower end is 0."""
        return self.batch / self.high_s, self.batch / self.low_s if self.low_s > 0 else float("inf")


@dataclass(frozen=True)
class BatchCurve:
    """Throughput by batch of one model in one runtime."""

    model: str
    runtime: str
    source: Source
    points: tuple[BatchPoint, ...]
    stopped: str = ""  # why there is no larger batch
    note: str = ""  # about the dimension that is the batch

    @property
    def best_per_s(self) -> float:
        """The highest throughput, items per second; 0 where there are no points."""
        return max((point.throughput_per_s for point in self.points), default=0.0)

    def smallest(self, share: float) -> int | None:
        """The smallest batch that reaches this fraction of the best throughput; None where there are no points."""
        enough = (point.batch for point in self.points if point.throughput_per_s >= share * self.best_per_s)
        return min(enough, default=None)

    def to_frame(self) -> pd.DataFrame:
        """A table with one row a batch: latency in seconds, and items per second with their interval."""
        return pd.DataFrame([
            {
                "model": self.model, "runtime": self.runtime, "source": self.source, "batch": point.batch,
                "latency_s": point.latency_s, "throughput_per_s": point.throughput_per_s,
                "throughput_low_per_s": point.throughput_interval_per_s[0],
                "throughput_high_per_s": point.throughput_interval_per_s[1],
                "share_of_best": point.throughput_per_s / self.best_per_s, "peak_bytes": point.peak_bytes,
                "flags": " ".join(point.flags),
            }
            for point in self.points
        ])  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        return asdict(self)


def doubled(throughput_of: Callable[[int], float | None], max_batch: int) -> tuple[list[int], str]:
    """Double the batch as long as the throughput grows.

    Args:
        throughput_of: returns items per second at a batch, or None where it cannot be run.
        max_batch: the largest batch.

    Returns:
        The batches 1, 2, 4, ... that could be run, and why there is no larger one.
    """
    batches: list[int] = []
    batch, best, flat = 1, 0.0, 0
    while batch <= max_batch:
        throughput = throughput_of(batch)
        if throughput is None:
            return batches, f"batch {batch} could not be run"
        batches.append(batch)
        flat = flat + 1 if throughput < best * (1 + MIN_GROWTH) else 0
        best = max(best, throughput)
        if flat == MAX_FLAT:
            return batches, "larger batches add no throughput"
        batch *= 2
    return batches, f"batch {max_batch} is the largest to try"


def together(curves: Sequence[BatchCurve]) -> pd.DataFrame:
    """Join the tables of several curves, see ``BatchCurve.to_frame``."""
    return pd.concat([curve.to_frame() for curve in curves], ignore_index=True)
