"""The result of one runtime on one model: samples of its latency, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from opclock.benchmarking.batch_scaling import BatchPoint
from opclock.flags import Flag, ordered
from opclock.profiles.disturbance import Marks, contended
from opclock.profiles.statistics import Samples, median_interval
from opclock.runtimes.runtime import OperatorTime

PERCENTILES = (90.0, 95.0, 99.0)
Status = Literal["ok", "missing", "failed"]


@dataclass(frozen=True)
class BenchRow:
    """The result of one runtime. Times are in seconds."""

    runtime: str
    batch: int
    status: Status = "ok"
    reason: str = ""  # why there are no samples
    versions: dict[str, str] = field(default_factory=dict)
    convert_s: float = float("nan")
    load_s: float = float("nan")
    first_run_s: float = float("nan")
    samples: Samples = field(default_factory=lambda: np.empty(0))  # all of them, in the order they were taken
    blocks: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, int))  # by sample: its block's number
    disturbed: Marks = field(default_factory=lambda: np.empty(0, bool))  # by sample; empty: nothing is known
    kept: Marks = field(default_factory=lambda: np.empty(0, bool))  # by sample: whether it counts; empty: all do
    peak_bytes: int = 0  # of the process that runs it, its libraries included
    operators: tuple[OperatorTime, ...] = ()
    flags: tuple[Flag, ...] = ()

    @cached_property
    def kept_samples(self) -> Samples:
        """The samples that count: clean ones or, with too few of them, those that waited least for cores."""
        return self.samples[self.kept] if len(self.kept) else self.samples

    @property
    def contention_flags(self) -> tuple[Flag, ...]:
        """("contended",) where other programs left too few samples undisturbed; else ()."""
        clean = int(np.count_nonzero(~self.disturbed))
        return ("contended",) if contended(clean, len(self.disturbed)) else ()

    @cached_property
    def median_s(self) -> float:
        """The median latency of the whole batch, in seconds, of the samples that count."""
        return float(np.median(self.kept_samples)) if len(self.samples) else float("nan")

    @cached_property
    def interval_s(self) -> tuple[float, float]:
        """The 95 % interval of the median, in seconds."""
        if len(self.samples) == 0:
            return float("nan"), float("nan")
        blocks = self.blocks[self.kept] if len(self.kept) else self.blocks
        samples = self.kept_samples
        return median_interval(samples, blocks=blocks if len(blocks) == len(samples) else None)

    @property
    def fallbacks(self) -> tuple[OperatorTime, ...]:
        """The operators that the runtime's delegate left to the runtime."""
        return tuple(operator for operator in self.operators if operator.delegated is False)

    @property
    def throughput_per_s(self) -> float:
        """Items per second: the batch over the median."""
        return self.batch / self.median_s if self.median_s else float("inf")

    @property
    def point(self) -> BatchPoint:
        """The row as a point of a batch curve."""
        return BatchPoint(self.batch, self.median_s, *self.interval_s, self.peak_bytes, self.flags)

    def statistics(self, percentiles: Sequence[float] = PERCENTILES) -> dict[str, float]:
        """Statistics of the samples that count by name, in seconds; NaN where there are none."""
        low, high = self.interval_s
        samples = self.kept_samples if len(self.samples) else np.array([np.nan])
        return {
            "min_s": float(samples.min()), "median_s": self.median_s, "median_low_s": low, "median_high_s": high,
            "mean_s": float(samples.mean()),
            **{f"p{percent:g}_s": float(np.percentile(samples, percent)) for percent in percentiles},
            "max_s": float(samples.max()), "throughput_per_s": self.throughput_per_s,
        }  # fmt: skip

    def to_json(self, percentiles: Sequence[float] = PERCENTILES) -> dict[str, Any]:
        """JSON-ready data with raw samples; null where there is no value."""
        numbers = {"convert_s": self.convert_s, "load_s": self.load_s, "first_run_s": self.first_run_s,
                   **self.statistics(percentiles)}  # fmt: skip
        return {
            "runtime": self.runtime, "batch": self.batch, "status": self.status, "reason": self.reason,
            "versions": self.versions,
            **{name: None if not np.isfinite(value) else value for name, value in numbers.items()},
            "peak_bytes": self.peak_bytes, "samples_s": self.samples.tolist(),
            "blocks": self.blocks.tolist(), "disturbed": self.disturbed.tolist(), "kept": self.kept.tolist(),
            "operators": [vars(operator) for operator in self.operators], "flags": list(self.flags),
        }  # fmt: skip

    @staticmethod
    def from_json(data: dict[str, Any]) -> BenchRow:
        """The inverse of to_json; statistics are derived anew from the samples."""
        times = {name: float("nan") if data[name] is None else data[name]
                 for name in ("convert_s", "load_s", "first_run_s")}  # fmt: skip
        return BenchRow(
            data["runtime"], data["batch"], data["status"], data["reason"], data["versions"], **times,
            samples=np.array(data["samples_s"]), blocks=np.array(data.get("blocks", ()), int),
            disturbed=np.array(data.get("disturbed", ()), bool), kept=np.array(data.get("kept", ()), bool),
            peak_bytes=data["peak_bytes"],
            operators=tuple(OperatorTime(**operator) for operator in data["operators"]), flags=ordered(data["flags"]),
        )  # fmt: skip
