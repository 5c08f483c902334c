"""Estimate against reference, sampled in turn, with the simpler estimates beside them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import kendalltau, spearmanr

from opclock import baselines
from opclock.accelerator import has_lanes
from opclock.arguments import Arguments
from opclock.errors import DataNeededError, ModelError, OpCallError
from opclock.estimate import Estimate, estimate
from opclock.explain import Explanation
from opclock.graph_run import GraphRun
from opclock.host import Host, PlayedHost, host_for
from opclock.host_table import host_key
from opclock.macs import model_macs, model_macs_thop
from opclock.measure import condition_of, first_positions, fits, lacking, lane_samplings, timings_of
from opclock.measurement import Samples
from opclock.model import Model
from opclock.profile import Profile
from opclock.progress import Progress, silent
from opclock.reference import Reference, ReferenceRun, forward_of
from opclock.sampling import Sampling, thread_team
from opclock.trace import Trace
from opclock.tracer import trace

SCHEMA = "opclock.validation/1"

FEWEST_BLOCKS = 8  # of everything in turn: four a half see a drift that two would miss
MOST_S = 3.8  # of kernel rounds for a small model, and
MOST_LATENCIES = 25  # times its latency for a large one
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


class _Looks:
    """Two other looks at the op calls that a pool samples, for explaining what the estimate misses."""

    def __init__(self, traced: Trace, kernels: Sampling, host: PlayedHost) -> None:
        self._trace, self._kernels, self._host = traced, kernels, host
        self._replays: list[Samples] = []
        self._observed: list[Samples] = []
        self._observed_host: list[Samples] = []

    def block(self, rounds: int) -> None:
        """So many of each, after one that is not kept."""
        calls = len(self._trace.calls)
        kernel_s, host_s = np.empty((rounds, calls)), np.empty((rounds, calls + 1))
        for number in (0, *range(rounds)):
            self._host.observe(kernel_s[number], host_s[number])
        self._observed.append(kernel_s)
        self._observed_host.append(host_s)
        self._replays.append(self._kernels.replay(rounds))

    def explain(self, made: Estimate, reference_s: float) -> Explanation:
        """What they saw."""
        seen = (np.concatenate(blocks) for blocks in (self._replays, self._observed, self._observed_host))
        return Explanation(self._trace, made, reference_s, *seen)


class _Turns:
    """Everything of one model that is sampled in turn."""

    def __init__(self, model: Model, traced: Trace, profile: Profile, threads: int, seed: int, explain: bool) -> None:
        forward = forward_of(model.module, model.inputs)
        self.reference = ReferenceRun(forward, model.name, traced.device)
        self.flags: list[str] = []
        self.samplings: list[Sampling] = []
        self.looks: _Looks | None = None
        self.graph: GraphRun | None = None
        condition = condition_of(traced, threads)
        self.measured_now = not profile.host_measured(condition, host_key(traced)) or any(
            lacking(traced, profile, condition_of(traced, threads, timing)) for timing in timings_of(traced.device)
        )
        if not self.measured_now:
            self.flags.append("measured_earlier")
        start = time.perf_counter()
        arguments = Arguments(traced)
        if self.measured_now:
            host, remark = host_for(traced, forward)
            self.flags += ["host_by_table"] if remark else []
            self.samplings = _whole(traced, profile, host, threads, seed, arguments)
            self.kernels = self.samplings[0]
            if explain and isinstance(host, PlayedHost) and not has_lanes(traced.device):
                self.looks = _Looks(traced, self.kernels, host)
        self.binding_s = time.perf_counter() - start
        self.beside: list[Sampling] = self.samplings[1:]  # one block of each in every turn
        alone = condition_of(traced, threads, "back_to_back")
        if lacking(traced, profile, alone):
            self.beside.append(Sampling(traced, first_positions(traced), arguments, profile, alone, None, seed=seed))
            self.beside[-1].warm_up()
            self.samplings.append(self.beside[-1])
        if has_lanes(traced.device):
            try:
                self.graph = GraphRun(forward, traced.device, model.name)
            except ModelError:
                self.flags.append("no_graph")

    def run(self, shuffle: random.Random, progress: Progress, text: str, most_s: float | None) -> None:
        """Blocks of everything in a fresh random order, until the kernels are settled or the time is up."""
        turns: list[Callable[[], object]] = [lambda: self.reference.block(0), lambda: self.reference.block(1)]
        if self.graph is not None:
            graph = self.graph
            turns += [lambda: graph.block(0), lambda: graph.block(1)]
        rounds = self.reference.runs
        latency_s = 0.0

        def kernels() -> None:
            nonlocal latency_s
            latency_s = self.kernels.block(rounds)

        if self.measured_now:
            turns.append(kernels)
        if self.looks is not None:
            looks = self.looks
            turns.append(lambda: looks.block(rounds))
        turns += [partial(one.block, rounds if one.condition.in_order else 1) for one in self.beside]
        begin_s, blocks, enough = self._kernel_s(), 0, False
        while not enough:
            shuffle.shuffle(turns)
            for turn in turns:
                turn()
            blocks += 1
            spent_s = self._kernel_s() - begin_s
            cap_s = max(MOST_S, MOST_LATENCIES * latency_s) if most_s is None else most_s
            enough = blocks >= FEWEST_BLOCKS and (spent_s >= cap_s or not self.measured_now or self.kernels.settled)
            progress(text, min(1.0, max(blocks / FEWEST_BLOCKS * 0.5, spent_s / cap_s)))

    def _kernel_s(self) -> float:
        return self.kernels.seconds if self.measured_now else 0.0

    def end(self) -> float:
        """Close the pools; returns the wall seconds that timing kernels took."""
        for sampling in self.samplings:
            _, flags = sampling.end()
            self.flags += flags
        return self._kernel_s() + (self.binding_s if self.measured_now else 0.0)


def _whole(
    traced: Trace, profile: Profile, host: Host, threads: int, seed: int, arguments: Arguments
) -> list[Sampling]:  # fmt: skip
    """All op calls in one pool, warm, for each timing there is.

    The real model has to fit beside it anyway, and sampling in turn needs it whole. Raises OpCallError where not.
    """
    if has_lanes(traced.device):
        return lane_samplings(traced, profile, host, threads, seed, arguments)
    if not fits(traced):
        raise OpCallError(f"{traced.model} needs more memory than validating allows; 'opclock measure' splits it")
    condition = condition_of(traced, threads)
    whole = Sampling(traced, range(len(traced.calls)), arguments, profile, condition, host, seed=seed)
    whole.warm_up()
    return [whole]


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
        turns = _Turns(model, traced, profile, threads, seed, explain)
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
