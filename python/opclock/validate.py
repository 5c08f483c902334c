"""Estimate against reference, sampled in turn, with the simpler estimates beside them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import kendalltau, spearmanr

from opclock import baselines
from opclock.accelerator import has_lanes
from opclock.errors import DataNeededError
from opclock.estimate import Estimate, estimate
from opclock.explain import Explanation
from opclock.macs import model_macs, model_macs_thop
from opclock.model import Model
from opclock.profile import Profile
from opclock.progress import Progress, silent
from opclock.reference import Reference
from opclock.sampling import thread_team
from opclock.trace import Trace
from opclock.tracer import trace
from opclock.turns import Turns

SCHEMA = "opclock.validation/1"

BASELINES = ("back_to_back", "mac_kernels_only", "roofline", "mac_regression")


@dataclass(frozen=True)
class Row:
    """One model: what was estimated, what was measured, and what others would have said."""

    trace: Trace
    threads: int
    reference: Reference
    estimate: Estimate
    baselines_s: dict[str, float | None]
    measure_s: float  # wall time spent timing kernels
    flags: tuple[str, ...]
    explanation: Explanation | None = None
    graph: Reference | None = None  # replays of the model as a recorded graph, on a device that has them

    @property
    def graph_error(self) -> float | None:
        """The device's time alone / the graph's - 1; None where there is no graph."""
        if self.graph is None or self.estimate.lanes is None:
            return None
        return self.estimate.lanes.replay_s / self.graph.median_s - 1.0

    @property
    def error(self) -> float:
        """Estimate / reference - 1."""
        return self.estimate.total_s / self.reference.median_s - 1.0

    def baseline_error(self, name: str) -> float | None:
        """A baseline's own error, or None where it has no number."""
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
            "estimate": self.estimate.to_json(),
            "error": self.error,
            "baselines": {
                name: {"total_s": self.baselines_s[name], "error": self.baseline_error(name)} for name in BASELINES
            },
            "measure_s": self.measure_s,
            "flags": list(self.flags),
            **({} if self.explanation is None else {"explanation": self.explanation.to_json()}),
            **({} if self.graph is None else {"graph": {**self.graph.to_json(), "error": self.graph_error}}),
        }


def error_summary(errors: Sequence[float]) -> dict[str, float | None]:
    """Mean absolute error, shares within 5 and 10 %, and the worst; None for each where there are no errors."""
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
class Validation:
    """All rows of one run."""

    board: dict[str, Any]
    rows: tuple[Row, ...]

    def summary(self) -> dict[str, Any]:
        """The errors over all rows, for the estimate and each baseline, beside the repeatability floor."""
        by_baseline = {
            name: error_summary([error for row in self.rows if (error := row.baseline_error(name)) is not None])
            for name in BASELINES
        }
        graphs = [error for row in self.rows if (error := row.graph_error) is not None]
        macs = [model_macs(row.trace) for row in self.rows]
        times = [row.reference.median_s for row in self.rows]
        return {
            **error_summary([row.error for row in self.rows]),
            "baselines": by_baseline,
            **({"graph": error_summary(graphs)} if graphs else {}),
            "repeat_mape": float(np.mean([abs(row.reference.repeat_error) for row in self.rows])),
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


def _traced(model: Model, *, real: bool) -> Trace:
    """The model is going to be run anyway here: where shapes depend on data, a real run may trace it as well."""
    try:
        return trace(model.module, model.inputs, name=model.name, real=real)
    except DataNeededError:
        return trace(model.module, model.inputs, name=model.name, real=True)


def validate_model(
    model: Model, profile: Profile, *, threads: int, seed: int = 0, real_trace: bool = False, explain: bool = False,
    most_s: float | None = None, progress: Progress = silent,
) -> Row:  # fmt: skip
    """One model's row; its regression baseline needs the other rows and is filled in by ``validate``.

    With ``explain`` the op calls are looked at in two more ways in the same turns; there is nothing to look at where
    the profile had every measurement already, or where the model's Python cannot be played. ``most_s``: wall seconds of
    kernel rounds at most, by default 3.8 s or 25 times the model's latency.

    Raises:
        TraceError, ModelError, OpCallError: where the model cannot be traced, run or timed.
        ProfileError: where the profile cannot be written.
    """
    traced = _traced(model, real=real_trace)
    with thread_team(threads):
        progress(f"{model.name}: warming up", 0.0)
        turns = Turns(model, traced, profile, threads, seed, explain)
        turns.run(random.Random(seed), progress, f"{model.name}: kernels and reference in turn", most_s)
        measure_s = turns.end()
        roofline_s = None  # of a device, whose ceilings are not measured
        if not has_lanes(traced.device):
            roofline_s = baselines.roofline(traced, *baselines.measure_roofs(profile, traced.working_set, threads))
    made = estimate(traced, profile, threads=threads)
    reference = turns.reference.reference()
    return Row(
        trace=traced,
        threads=threads,
        reference=reference,
        estimate=made,
        baselines_s={
            "back_to_back": baselines.back_to_back(traced, profile, threads),
            "mac_kernels_only": baselines.mac_kernels_only(made),
            "roofline": roofline_s,
            "mac_regression": None,
        },
        measure_s=measure_s,
        flags=tuple(dict.fromkeys([*turns.flags, *made.flags])),
        explanation=turns.looks.explain(made, reference.median_s) if turns.looks else None,
        graph=turns.graph.reference() if turns.graph else None,
    )


def with_regression(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows with their leave-one-out regression on MACs filled in."""
    fitted = baselines.mac_regression([model_macs(row.trace) for row in rows], [row.reference.median_s for row in rows])
    return tuple(
        replace(row, baselines_s={**row.baselines_s, "mac_regression": seconds})
        for row, seconds in zip(rows, fitted, strict=True)
    )


def validate(
    models: Sequence[Model], profile: Profile, *, threads: int, seed: int = 0, real_trace: bool = False,
    explain: bool = False, progress: Progress = silent,
) -> Validation:  # fmt: skip
    """Measure, estimate and really run each model, all in turn, and compare.

    Args:
        models: one or more; the regression on MACs needs three.
        profile: open for writing; op calls it has already are not timed again.
        threads: of PyTorch.
        seed: of the random order of turns.
        real_trace: trace by a real run, for shapes that depend on data.
        explain: say of each model which part of its error is due to what.
        progress: told what is done and how far each model is.

    Raises:
        OpclockError: see ``validate_model``.
    """
    rows = [
        validate_model(
            model, profile, threads=threads, seed=seed, real_trace=real_trace, explain=explain, progress=progress
        )
        for model in models
    ]
    return Validation(profile.board(), with_regression(rows))
