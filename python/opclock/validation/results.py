"""The results of a validation: one row a model, and tables of the rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau, spearmanr

from opclock.estimation.estimate_file import document
from opclock.estimation.result import Estimate
from opclock.flags import Flag, untrusted
from opclock.notebook import ShownInNotebooks
from opclock.profiles.processes import Layouts, ProcessTimes, differing_layouts
from opclock.tracing.macs import model_macs, model_macs_thop
from opclock.tracing.trace import Trace
from opclock.validation.attribution import Explanation

if TYPE_CHECKING:
    from opclock.timing.reference import Reference  # with torch, which reading a report does not need

SCHEMA = "opclock.validation/1"

BASELINES = ("back_to_back", "mac_kernels_only", "roofline", "mac_regression")


@dataclass(frozen=True)
class Row:
    """The results for one model: the estimate, the reference, and the baselines' estimates. Seconds."""

    trace: Trace
    threads: int
    reference: Reference
    estimate: Estimate
    baselines_s: dict[str, float | None]
    measure_s: float  # wall time spent timing kernels
    flags: tuple[Flag, ...]
    explanation: Explanation | None = None
    graph: Reference | None = None  # replays of the model as a CUDA graph, on devices that have them
    unknown: tuple[str, ...] = ()  # op calls that could not be timed, and why

    @property
    def graph_error(self) -> float | None:
        """Estimated time of a replay / measured time of the graph - 1; None where there is no graph."""
        if self.graph is None or self.estimate.lanes is None:
            return None
        return self.estimate.lanes.replay_s / self.graph.median_s - 1.0

    @property
    def reliable(self) -> bool:
        """Whether no flag says that its times are not."""
        return not untrusted(self.flags)

    @property
    def error(self) -> float:
        """The relative error: estimate / reference - 1."""
        return self.estimate.total_s / self.reference.median_s - 1.0

    @property
    def compatible(self) -> bool:
        """Whether the estimate and the reference differ by no more than both 95 % intervals allow.

        The half widths towards each other are added as independent errors are. Each interval may hold the other's
        middle or not.
        """
        estimated, (low_s, high_s) = self.estimate, self.reference.interval_s
        difference_s = estimated.total_s - self.reference.median_s
        if difference_s > 0:
            sides_s = estimated.total_s - estimated.ci_low_s, high_s - self.reference.median_s
        else:
            sides_s = estimated.ci_high_s - estimated.total_s, self.reference.median_s - low_s
        return abs(difference_s) <= math.hypot(*sides_s)

    @property
    def layouts(self) -> Layouts | None:
        """Slower processes with many page faults, and others, among those of the estimate and of the reference.

        None where page faults do not decide, or where one process took all.
        """
        references = self.reference.process_times
        return differing_layouts([*self.estimate.processes, *references]) if len(references) > 1 else None

    @property
    def page_fault_error(self) -> float | None:
        """The part of ``error`` that is due to page faults: the processes of both differ in them by chance.

        None where they, or what one takes, are not known.
        """
        cost_s = self.estimate.page_fault_s
        estimated, real = (_mean_faults(of) for of in (self.estimate.processes, self.reference.process_times))
        if cost_s is None or estimated is None or real is None:
            return None
        return (estimated - real) * cost_s / self.reference.median_s

    def baseline_error(self, name: str) -> float | None:
        """The relative error of a baseline; None where the baseline has no estimate."""
        seconds = self.baselines_s[name]
        return None if seconds is None else seconds / self.reference.median_s - 1.0

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "model": self.trace.model,
            "input": self.trace.input_text,
            "dtype": self.trace.dtype,
            "device": self.trace.device,
            "threads": self.threads,
            "params": self.trace.parameters,
            "macs": model_macs(self.trace),
            "macs_thop": model_macs_thop(self.trace),
            "op_calls": len(self.trace.calls),
            "unique_op_calls": len(self.trace.unique),
            "reference": self.reference.to_json(),
            "estimate": document(self.estimate),
            "error": self.error,
            "compatible": self.compatible,
            "page_fault_error": self.page_fault_error,
            "baselines": {
                name: {"total_s": self.baselines_s[name], "error": self.baseline_error(name)} for name in BASELINES
            },
            "measure_s": self.measure_s,
            "flags": list(self.flags),
            "unknown": list(self.unknown),
            **({} if self.explanation is None else {"explanation": self.explanation.to_json()}),
            **({} if self.graph is None else {"graph": {**self.graph.to_json(), "error": self.graph_error}}),
        }


def _mean_faults(processes: Sequence[ProcessTimes]) -> float | None:
    known = [one.faults for one in processes if one.faults is not None]
    return float(np.mean(known)) if known and len(known) == len(processes) else None


def error_summary(errors: Sequence[float]) -> dict[str, float | None]:
    """Summarise relative errors.

    Args:
        errors: estimate / reference - 1, one a model.

    Returns:
        Mean absolute error (MAPE, as a fraction), the fractions of models within 5 and 10 %, and the largest absolute
        error. All are None where there are no errors.
    """
    away = np.abs(np.array(errors, dtype=float))
    if away.size == 0:
        return dict.fromkeys(("mape", "within_5pct", "within_10pct", "max_abs_error"))
    return {
        "mape": float(away.mean()),
        "within_5pct": float((away <= 0.05).mean()),
        "within_10pct": float((away <= 0.10).mean()),
        "max_abs_error": float(away.max()),
    }


def _correlation(function: Callable[..., Any], x: Sequence[float], y: Sequence[float]) -> float | None:
    if len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return float(function(x, y).statistic)


@dataclass(frozen=True)
class Validation(ShownInNotebooks):
    """All rows of one run."""

    board: dict[str, Any]
    rows: tuple[Row, ...]

    def summary(self) -> dict[str, Any]:
        """The errors over the models whose times are reliable, as JSON-ready data.

        Returns:
            The summary of the estimate's errors (``error_summary``), the same of each baseline ("baselines") and of
            CUDA graphs ("graph"), the mean error of a repeated measurement ("repeat_mape"), rank correlations of MACs
            and time, the number of models that count ("models"), and the names of the others ("left_out"). A number
            is None where no model counts.
        """
        rows = [row for row in self.rows if row.reliable]
        by_baseline = {
            name: error_summary([error for row in rows if (error := row.baseline_error(name)) is not None])
            for name in BASELINES
        }
        graphs = [error for row in rows if (error := row.graph_error) is not None]
        macs = [model_macs(row.trace) for row in rows]
        times = [row.reference.median_s for row in rows]
        return {
            "models": len(rows),
            "left_out": [row.trace.model for row in self.rows if not row.reliable],
            **error_summary([row.error for row in rows]),
            "baselines": by_baseline,
            **({"graph": error_summary(graphs)} if graphs else {}),
            "repeat_mape": float(np.mean([abs(row.reference.repeat_error) for row in rows])) if rows else None,
            "spearman_macs": _correlation(spearmanr, macs, times),
            "kendall_macs": _correlation(kendalltau, macs, times),
        }

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data of schema "opclock.validation/1"."""
        return {
            "schema": SCHEMA,
            "board": self.board,
            "rows": [row.to_json() for row in self.rows],
            "summary": self.summary(),
        }


def validation_table(validation: Validation) -> pd.DataFrame:
    """Make a table of a validation.

    Args:
        validation: the results.

    Returns:
        One row a model. Times are in seconds; errors and shares are fractions.
    """
    rows = []
    for row in validation.rows:
        low, high = row.reference.interval_s
        rows.append({
            "model": row.trace.model,
            "params": row.trace.parameters,
            "macs": model_macs(row.trace),
            "macs_thop": model_macs_thop(row.trace),
            "op_calls": len(row.trace.calls),
            "reference_s": row.reference.median_s,
            "reference_low_s": low,
            "reference_high_s": high,
            "repeat_error": row.reference.repeat_error,
            "estimate_s": row.estimate.total_s,
            "estimate_low_s": row.estimate.ci_low_s,
            "estimate_high_s": row.estimate.ci_high_s,
            "error": row.error,
            **{f"{name}_error": row.baseline_error(name) for name in BASELINES},
            "gmacs_per_s": model_macs(row.trace) / row.reference.median_s / 1e9,
            "mac_share": row.estimate.mac_s / row.estimate.total_s,
            "non_mac_share": row.estimate.non_mac_s / row.estimate.total_s,
            "host_share": row.estimate.host_s / row.estimate.total_s,
            "measure_s": row.measure_s,
            "flags": " ".join(row.flags),
        })  # fmt: skip
    return pd.DataFrame(rows)


def class_table(validation: Validation) -> pd.DataFrame:
    """Make a table of estimated seconds by model (rows) and operator class (columns, the largest total first)."""
    table = pd.DataFrame({row.trace.model: row.estimate.by_class() for row in validation.rows}).T.fillna(0.0)
    return table[table.sum().sort_values(ascending=False).index]
