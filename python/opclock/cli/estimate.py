"""opclock estimate: a model's latency from a profile."""

from __future__ import annotations

from pathlib import Path

import click
import pandas as pd

from opclock.cli import options
from opclock.cli.output import check_json, say, show_table, waiting, write_json
from opclock.errors import EstimateError


@click.command()
@options.model_argument
@options.input_option
@options.dtype_option
@options.device_option
@click.option("--threads", type=int, default=None, help="As measured.  [default: the cores this process may use]")
@options.profile_option("opclock.sqlite")
@options.real_option
@click.option("--measured-only", is_flag=True, help="Refuse what the profile has no measurement of.")
@click.option("--depth", type=click.IntRange(min=0), default=1, show_default=True, help="Of module paths in the table.")
@options.json_option
def estimate(
    model: str,
    input_text: str | None,
    dtype: str,
    device: str,
    threads: int | None,
    profile_path: Path,
    real: bool,
    measured_only: bool,
    depth: int,
    json_to: str | None,
) -> None:
    """Estimate how long MODEL takes from a profile, and where the time goes.

    MODEL as for trace, or a trace file (FILE.json), which needs no torch. Works on any machine with a copied profile.
    What was not measured is predicted from the profile's sweeps ('opclock sweep --preset board').
    """
    from opclock.estimation.estimate import estimate as compose
    from opclock.profiles.profile import Profile
    from opclock.tracing.trace import Trace

    check_json(json_to)
    count = options.checked_threads(None) if threads is None else threads
    with Profile.open(profile_path) as profile:
        traced = Trace.load(Path(model)) if model.endswith(".json") else _traced(model, input_text, dtype, device, real)
        with waiting("composing, and predicting what was not measured"):
            made = compose(traced, profile, threads=count, measured_only=measured_only)
    if json_to:
        write_json(json_to, {"schema": "opclock.estimate/1", "model": made.model, "threads": count, **made.to_json(),
                             "by_module": made.by_module(depth), "unknown": list(made.unknown),
                             "flags": list(made.flags)})  # fmt: skip
    source = "emulated" if "emulated" in made.flags else "measured"
    title = (
        f"{made.model}, {count} threads: {made.total_s * 1e3:.2f} ms "
        f"[{made.ci_low_s * 1e3:.2f}, {made.ci_high_s * 1e3:.2f}]; {source} {made.coverage.measured:.0%}, "
        f"modelled {made.coverage.modelled:.0%}, unknown {made.coverage.unknown:.0%}"
    )
    for name, seconds in (("operator class", made.by_class()), ("module", made.by_module(depth))):
        rows = [
            (key or "(model)", f"{value * 1e3:.3f}", f"{value / made.total_s:.1%}") for key, value in seconds.items()
        ]
        show_table(pd.DataFrame(rows, columns=[name, "ms", "share"]), title, json_to)
        title = ""
    if made.lanes is not None:
        lanes = made.lanes
        say(f"device busy {lanes.busy_s * 1e3:.2f} ms, idle {lanes.idle_share:.0%} of the time; "
            f"{lanes.launch_bound_share:.0%} of its calls wait for the host; as a recorded graph "
            f"{lanes.replay_s * 1e3:.2f} ms", json_to)  # fmt: skip
    for flag in made.flags:
        say(f"note: {flag}", json_to)
    if not made.complete:
        raise EstimateError(
            f"incomplete: {len(made.unknown)} op calls of {made.model} have no number, first {made.unknown[0]}; "
            f"run 'opclock measure' with this profile and --threads {count}"
        )


def _traced(model: str, input_text: str | None, dtype: str, device: str, real: bool):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from opclock.models.loading import load_model
    from opclock.tracing.recorder import trace

    loaded = load_model(model, input_text=input_text, dtype=dtype, device=options.checked_device(device))
    return trace(loaded.module, loaded.inputs, name=loaded.name, real=real)
