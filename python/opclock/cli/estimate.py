"""opclock estimate: a model's latency from a profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from opclock.cli import options
from opclock.cli.reporting import Reporter, waiting
from opclock.errors import EstimateError

if TYPE_CHECKING:
    from opclock.estimation.result import Estimate
    from opclock.tracing.trace import Trace


@click.command()
@options.model_argument
@options.input_option
@options.dtype_option
@options.device_option
@click.option("--threads", type=int, default=None, help="As measured.  [default: the cores this process may use]")
@options.profile_option("opclock.sqlite")
@options.real_option
@click.option("--measured-only", is_flag=True, help="Predict nothing: refuse what the profile has no measurement of.")
@click.option("--depth", type=click.IntRange(min=0), default=1, show_default=True,
              help="Parts of the module path in the table.")  # fmt: skip
@options.reporter_option
def estimate(
    model: str, input_text: str | None, dtype: str, device: str, threads: int | None, profile_path: Path, real: bool,
    measured_only: bool, depth: int, reporter: Reporter,
) -> None:  # fmt: skip
    """Estimate how long MODEL takes from a profile, and where the time goes.

    MODEL as for trace, or a trace file (FILE.json), which needs no torch. Works on any machine with a copied profile.
    What was not measured is predicted from the profile's sweeps ('opclock sweep --preset board').
    """
    from opclock.estimation.estimate import estimate as compose
    from opclock.profiles.profile import Profile

    count = options.checked_threads(None) if threads is None else threads
    with Profile.open(profile_path) as profile:
        traced = _trace(model, input_text, dtype, device, real)
        with waiting("composing, and predicting what was not measured"):
            estimated = compose(traced, profile, threads=count, measured_only=measured_only)
    _report(estimated, count, depth, reporter)
    if not estimated.complete:
        raise EstimateError(
            f"incomplete: {len(estimated.unknown)} op calls of {estimated.model} have no number, first "
            f"{estimated.unknown[0]}; run 'opclock measure' with this profile and --threads {count}"
        )


def _report(estimated: Estimate, threads: int, depth: int, reporter: Reporter) -> None:
    from opclock.report.estimate_tables import device_sentence, share_table, summary

    by_class, by_module = estimated.by_class(), estimated.by_module(depth)
    reporter.json({"schema": "opclock.estimate/1", "model": estimated.model, "threads": threads,
                   **estimated.to_json(), "by_module": by_module, "unknown": list(estimated.unknown),
                   "flags": list(estimated.flags)})  # fmt: skip
    reporter.say(summary(estimated, threads))
    reporter.table(share_table("operator class", by_class, estimated.total_s))
    reporter.say("")
    reporter.table(share_table("module", by_module, estimated.total_s))
    if estimated.lanes is not None:
        reporter.say(device_sentence(estimated.lanes))
    for flag in estimated.flags:
        reporter.say(f"note: {flag}")


def _trace(model: str, input_text: str | None, dtype: str, device: str, real: bool) -> Trace:
    if model.endswith(".json"):
        from opclock.tracing.trace import Trace

        return Trace.load(Path(model))
    from opclock.models.loading import load_model
    from opclock.tracing.recorder import trace

    loaded = load_model(model, input_text=input_text, dtype=dtype, device=options.checked_device(device))
    return trace(loaded.module, loaded.inputs, name=loaded.name, real=real)
