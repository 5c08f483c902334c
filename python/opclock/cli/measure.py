"""opclock measure: time the op calls that a profile lacks."""

from __future__ import annotations

from pathlib import Path

import click

from opclock.cli import options
from opclock.cli.output import check_json, progress_bar, say, write_json


@click.command()
@options.model_argument
@options.input_option
@options.dtype_option
@options.device_option
@options.threads_option
@options.cpus_option
@options.profile_option("opclock.sqlite")
@options.real_option
@options.seed_option
@options.json_option
def measure(
    model: str,
    input_text: str | None,
    dtype: str,
    device: str,
    threads: int | None,
    profile_path: Path,
    real: bool,
    seed: int,
    json_to: str | None,
) -> None:
    """Time the op calls of MODEL that the profile lacks, and its host's cost, on this board.

    MODEL as for trace, or a trace file (FILE.json). The model is never run: its kernels are timed one by one.
    Interrupted, the same command goes on where it stopped.
    """
    from opclock.board.identity import read_board
    from opclock.models.loading import load_model
    from opclock.profiles.profile import Profile
    from opclock.timing.measure import measure as time_calls
    from opclock.timing.reference import forward_of
    from opclock.tracing.recorder import trace
    from opclock.tracing.trace import Trace

    check_json(json_to)
    count = options.checked_threads(threads)
    device = options.checked_device(device)
    if model.endswith(".json"):
        traced, forward = Trace.load(Path(model)), None
    else:
        loaded = load_model(model, input_text=input_text, dtype=dtype, device=device)
        traced = trace(loaded.module, loaded.inputs, name=loaded.name, real=real)
        forward = forward_of(loaded.module, loaded.inputs)
    with Profile.create_or_open(profile_path, read_board()) as profile, progress_bar() as progress:
        done = time_calls(traced, profile, forward=forward, threads=count, seed=seed, progress=progress)
    if json_to:
        write_json(json_to, {"schema": "opclock.measure/1", "model": traced.model, **vars(done)})
    say(
        f"{traced.model}: {done.timed} op calls timed, {done.known} known before, {done.rounds} rounds in "
        f"{done.seconds:.1f} s ({done.ended}); kept in {profile_path}",
        json_to,
    )
    for flag in done.flags:
        say(f"note: {flag}", json_to)
