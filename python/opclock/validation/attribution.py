"""Splits the error of an estimate into kernels, host and rest, and compares operator classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from opclock.estimation.result import HOST, Estimate
from opclock.profiles.statistics import Samples, typical_round
from opclock.tracing.operator_classes import class_of
from opclock.tracing.trace import Trace


@dataclass(frozen=True)
class Explanation:
    """An estimate with two other measurements of the same op calls. Seconds; samples are rounds x op calls.

    ``replay``: the op calls in the model's order, run from C++ without Python between them. ``observed``: each op call,
    timed in the real model on its real inputs. ``observed_host``: the host's time before each of them and after the
    last, so one more column.
    """

    trace: Trace
    estimate: Estimate
    reference_s: float
    replay: Samples
    observed: Samples
    observed_host: Samples

    @property
    def residual_s(self) -> float:
        """Estimate minus reference. It is the sum of the next three: ``condition_s``, ``host_s`` and ``left_s``."""
        return self.estimate.total_s - self.reference_s

    @property
    def condition_s(self) -> float:
        """Kernels in the estimate minus kernels in the real model: the error of the timing condition."""
        return self._kernels_s - self._observed_kernels_s

    @property
    def host_s(self) -> float:
        """Host work in the playback minus host work in the real model."""
        return self.estimate.host_s - self._observed_host_s

    @property
    def left_s(self) -> float:
        """The rest: timing inside the model takes time, and the machine drifts between blocks."""
        return self.residual_s - self.condition_s - self.host_s

    @property
    def replay_s(self) -> float:
        """The time of one replay: the sum of the op calls in a typical round."""
        return float(self._replay_parts.sum())

    @property
    def host_by_replay_s(self) -> float:
        """Reference minus replay: the host's work, and its effect on kernels."""
        return self.reference_s - self.replay_s

    def by_class(self) -> pd.DataFrame:
        """Compare the measurements by operator class: one row a class, the largest estimate first, the host last.

        Columns: class, estimate_s, replay_s (NaN for the host), observed_s, difference_s (estimate minus observed).
        """
        classes = [class_of(traced.call) for traced in self.trace.calls]
        kernels = [part.kernel_s or 0.0 for part in self.estimate.parts]
        table = pd.DataFrame(
            {
                "class": classes,
                "estimate_s": kernels,
                "replay_s": self._replay_parts,
                "observed_s": self.observed_parts,
            }
        )
        table = table.groupby("class").sum().sort_values("estimate_s", ascending=False)
        table.loc[HOST] = [self.estimate.host_s, np.nan, self._observed_host_s]
        return table.assign(difference_s=table["estimate_s"] - table["observed_s"]).reset_index()

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "residual_s": self.residual_s,
            "condition_s": self.condition_s,
            "host_s": self.host_s,
            "left_s": self.left_s,
            "replay_s": self.replay_s,
            "host_by_replay_s": self.host_by_replay_s,
            "by_class": [
                {**row, "replay_s": None if pd.isna(row["replay_s"]) else row["replay_s"]}
                for row in self.by_class().to_dict("records")
            ],
            "observed_s": self.observed_parts.tolist(),
            "observed_host_s": self.observed_host_parts.tolist(),
        }

    @property
    def _kernels_s(self) -> float:
        return self.estimate.mac_s + self.estimate.non_mac_s

    @cached_property
    def _replay_parts(self) -> Samples:
        return typical_round(self.replay)

    @cached_property
    def _observed_all(self) -> Samples:
        return typical_round(np.concatenate([self.observed, self.observed_host], axis=1))

    @property
    def observed_parts(self) -> Samples:
        """By op call: seconds of its kernel in a typical inference."""
        return self._observed_all[: len(self.trace.calls)]

    @property
    def _observed_kernels_s(self) -> float:
        return float(self.observed_parts.sum())

    @property
    def observed_host_parts(self) -> Samples:
        """Seconds of the host before each op call and after the last, in the same inference."""
        return self._observed_all[len(self.trace.calls) :]

    @property
    def _observed_host_s(self) -> float:
        return float(self.observed_host_parts.sum())
