"""opclock sweep --for: time what would narrow models' estimates most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opclock.cli import options
from opclock.cli.flags import check_strict, show_flags
from opclock.cli.reporting import Reporter, progress_display, waiting
from opclock.models.output import model_output_apart

if TYPE_CHECKING:
    from opclock.estimation.result import Estimate
    from opclock.sweeps.for_models import ModelSweep
    from opclock.tracing.trace import Trace

SCHEMA = "opclock.sweep_for/1"


def sweep_for_models(
    models: Sequence[str], minutes: float, counts: Sequence[int], profile_path: Path, seed: int, reporter: Reporter,
    *, strict: bool,
) -> None:  # fmt: skip
    """Sweep for these models with each number of threads, and print their estimates before and after."""
    from opclock.sweeps.for_models import sweep_for

    with model_output_apart(), waiting("loading the models and their op calls"):
        traces = [_trace(model) for model in models]
    sweeps: list[ModelSweep] = []
    with options.writable_profile(profile_path) as profile:
        for count in counts:
            with progress_display() as progress:
                done = sweep_for(traces, profile, minutes=minutes, threads=count, seed=seed, progress=progress)
            sweeps.append(done)
            _say(done, count, profile_path, reporter)
        board = profile.board()
    reporter.json({"schema": SCHEMA, "board": board, "sweeps": [
        _document(done, traces, count) for done, count in zip(sweeps, counts, strict=True)
    ]})  # fmt: skip
    flags = [flag for done in sweeps for one in done.after if one is not None for flag in one.flags]
    show_flags(reporter, flags)
    check_strict(reporter, flags, strict=strict)


def _trace(model: str) -> Trace:
    if model.endswith(".json"):
        from opclock.tracing.trace import Trace

        return Trace.load(Path(model))
    from opclock.models.loading import load_model

    return options.traced(load_model(model), real=None)


def _say(done: ModelSweep, threads: int, profile_path: Path, reporter: Reporter) -> None:
    from opclock.formatting import SECONDS, counted, quantity
    from opclock.report.estimate_tables import summary

    for reason, number in done.skipped.items():
        reporter.say(f"skipped {number}: {reason}")
    reporter.say(
        f"{counted(threads, 'thread')}: {counted(done.timed, 'op call')} timed in {quantity(done.seconds, SECONDS)}, "
        f"{done.left} left; kept in {profile_path}"
    )
    for before, after in zip(done.before, done.after, strict=True):
        if before is not None:
            reporter.say(f"before: {summary(before)}")
        if after is not None:
            reporter.say(f"after:  {summary(after)}")


def _document(done: ModelSweep, traces: Sequence[Trace], threads: int) -> dict[str, Any]:
    def numbers(one: Estimate | None) -> dict[str, Any] | None:
        return None if one is None else one.to_json()

    return {
        "threads": threads,
        "timed": done.timed,
        "left": done.left,
        "skipped": dict(done.skipped),
        "seconds": done.seconds,
        "models": [
            {"model": trace.model, "before": numbers(before), "after": numbers(after)}
            for trace, before, after in zip(traces, done.before, done.after, strict=True)
        ],
    }
