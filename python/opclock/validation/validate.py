"""Compares estimates and simpler baselines with real inference, all sampled in turn."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

from opclock.argument_checks import Count, Seconds, checked
from opclock.board.accelerator import has_lanes
from opclock.errors import OptionError
from opclock.estimation import baselines
from opclock.estimation.estimate import estimate
from opclock.flags import ordered, precision_flags
from opclock.models.loading import Model
from opclock.profiles.profile import Profile
from opclock.progress import Progress, silent, step
from opclock.timing.ceiling_runs import measure_roofs
from opclock.timing.reference import Reference
from opclock.timing.threads import thread_team
from opclock.tracing.macs import model_macs
from opclock.tracing.recorder import trace
from opclock.tracing.trace import check_calls
from opclock.validation.request import Request, processes_of
from opclock.validation.results import Row, Validation
from opclock.validation.session import InterleavedSession


@checked
def validate_model(
    model: Model, profile: Profile, *, threads: int, seed: int = 0, real_trace: bool | None = None,
    explain: bool = False, max_s: Seconds | None = None, progress: Progress = silent, processes: Count = 1,
) -> Row:  # fmt: skip
    """Validate one model. The regression baseline needs other models and is filled in by ``validate``.

    Args:
        model: the model with its inputs.
        profile: open for writing; op calls that it has already are not timed again.
        threads: PyTorch's threads.
        seed: for every random order.
        real_trace: how the model is traced, see ``opclock.trace``.
        explain: take two more measurements of the op calls, to explain the error. There is no explanation where the
            profile has every measurement already, or where the model's Python cannot be played.
        max_s: largest number of seconds of kernel rounds; by default 3.8 s or 25 times the model's latency, and three
            times that where other programs disturb the rounds.
        progress: receives a text and the fraction that is done.
        processes: how many fresh processes sample the op calls in turn, and as many others the model, which
            ``load_model`` must have returned; with 1, this process samples both.

    Returns:
        The estimate, the reference and the baselines of this model, in seconds.

    Raises:
        TraceError, ModelError, OpCallError: the model cannot be traced, run or timed.
        ProfileError: the profile cannot be written.
        OptionError: fewer than one thread or process, a time limit that is not above 0, an explanation or a device
            beside the host with several processes, or a model that other processes cannot load.
    """
    if explain and processes > 1:
        raise OptionError(
            f"processes={processes}: explain=True observes the op calls of one process; leave one of them out"
        )
    with nullcontext() if model.settings is None else model.settings.in_force():
        traced = trace(model.module, model.inputs, name=model.name, real=real_trace, reset=model.reset)
        check_calls(traced)
        request = Request(model, traced, profile, threads, seed, explain, max_s, processes)
        progress(f"{model.name}: " + ("warming up" if processes == 1 else "starting processes"), 0.0)
        with thread_team(threads), processes_of(request) as children:
            session = InterleavedSession(request, *children, progress)
            session.run(progress, f"{model.name}: kernels and reference in turn")
            measure_s, reference = session.end(), session.reference()
    with thread_team(threads):
        roofline_s = _roofline_s(request)
    return _row(request, session, reference, measure_s, roofline_s)


def _roofline_s(request: Request) -> float | None:
    """The roofline baseline in seconds; None on a device beside the host, whose ceilings are not measured."""
    if has_lanes(request.trace.device):
        return None
    peak, bandwidth = measure_roofs(request.profile, request.trace.working_set, request.threads)
    return baselines.roofline(request.trace, peak, bandwidth)


def _row(
    request: Request, session: InterleavedSession, reference: Reference, measure_s: float, roofline_s: float | None
) -> Row:
    estimated = estimate(request.trace, request.profile, threads=request.threads, state=session.state)
    graph = session.graph.reference() if session.graph else None
    imprecise = precision_flags(reference.median_s, *reference.interval_s)
    contended = ("contended",) if reference.contended or (graph and graph.contended) else ()
    row = Row(
        trace=request.trace,
        threads=request.threads,
        reference=reference,
        estimate=estimated,
        baselines_s={
            "back_to_back": baselines.back_to_back(request.trace, request.profile, request.threads, session.state),
            "mac_kernels_only": baselines.mac_kernels_only(estimated),
            "roofline": roofline_s,
            "mac_regression": None,
        },
        measure_s=measure_s,
        flags=ordered([*contended, *session.flags, *estimated.flags, *imprecise]),
        explanation=session.observers.explain(estimated, reference.median_s) if session.observers else None,
        graph=graph,
        unknown=session.unknown,
    )
    return row if row.layouts is None else replace(row, flags=ordered([*row.flags, "layout"]))


def with_regression(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Fill the leave-one-out regression on MACs into the rows."""
    fitted = baselines.mac_regression(
        [model_macs(row.trace) for row in rows],
        [row.reference.median_s for row in rows],
        [row.reference.contended for row in rows],
    )
    return tuple(
        replace(row, baselines_s={**row.baselines_s, "mac_regression": seconds})
        for row, seconds in zip(rows, fitted, strict=True)
    )


@checked
def validate(
    models: Sequence[Model], profile: Profile, *, threads: int, seed: int = 0, real_trace: bool | None = None,
    explain: bool = False, progress: Progress = silent, processes: Count = 1,
) -> Validation:  # fmt: skip
    """Measure, estimate and run each model, all in turn, and compare the results.

    Args:
        models: one or more; the regression on MACs needs three.
        profile: open for writing; op calls that it has already are not timed again.
        threads: PyTorch's threads.
        seed: for every random order.
        real_trace: how the model is traced, see ``opclock.trace``.
        explain: split each model's error into kernels, host, and the rest.
        progress: receives a text and the fraction that is done.
        processes: how many fresh processes sample the op calls in turn, and as many others the model, which
            ``load_model`` must have returned; with 1, this process samples both.

    Returns:
        One row a model, in the given order.

    Raises:
        OpclockError: see ``validate_model``.
    """
    rows = [
        validate_model(
            model,
            profile,
            threads=threads,
            seed=seed,
            real_trace=real_trace,
            explain=explain,
            progress=step(progress, number, len(models)),
            processes=processes,
        )
        for number, model in enumerate(models, start=1)
    ]
    return Validation(profile.board(), with_regression(rows))
