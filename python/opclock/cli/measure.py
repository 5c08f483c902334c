"""opclock measure: time the op calls that a profile lacks."""

from __future__ import annotations

from pathlib import Path

import click

from opclock.cli import options
from opclock.cli.flags import check_strict, show_flags, strict_option
from opclock.cli.on import on_boards
from opclock.cli.reporting import Reporter, note, progress_display, waiting
from opclock.models.output import model_output_apart


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
@options.processes_option
@strict_option
@options.reporter_option
@on_boards
@options.needs_core
def measure(
    model: str, input_text: str | None, dtype: str, device: str, threads: int | None, profile_path: Path,
    real: bool | None, seed: int, processes: int, strict: bool, reporter: Reporter,
) -> None:  # fmt: skip
    """Time MODEL's host code, and those of its op calls that the profile lacks, on this board.

    MODEL is named as for trace, or is a trace file (FILE.json). Kernels are timed one by one; the model itself runs
    once at most, to check the trace. After an interruption, the same command continues where it stopped.
    """
    from opclock.formatting import SECONDS, counted, quantity

    with model_output_apart():
        with waiting("loading torch and the model, and tracing it"):
            from opclock.models.loading import load_model
            from opclock.timing.measure import elsewhere_note
            from opclock.timing.measure import measure as time_calls
            from opclock.tracing.trace import Trace, check_calls

            count = options.checked_threads(threads)
            device = options.checked_device(device)
            if model.endswith(".json"):
                traced, loaded = Trace.load(Path(model)), None
            else:
                loaded = load_model(model, input_text=input_text, dtype=dtype, device=device)
                traced = options.traced(loaded, real=real)
            check_calls(traced)  # before a profile is created
        with options.writable_profile(profile_path) as profile, progress_display() as progress:
            if remark := elsewhere_note(traced, profile):
                note(remark)
            summary = time_calls(traced, profile, model=loaded, threads=count, seed=seed, progress=progress,
                                 processes=processes)  # fmt: skip
    reporter.json({"schema": "opclock.measure/1", "model": traced.model, **vars(summary)})
    earlier = f" ({summary.earlier_rounds} of them before an interruption)" if summary.earlier_rounds else ""
    again = f" ({summary.again} of them again, as other programs disturbed them before)" if summary.again else ""
    reporter.say(
        f"{traced.model}: {counted(summary.timed, 'op call')} timed{again}, {summary.known} known before, "
        f"{counted(summary.rounds, 'round')}{earlier} in {quantity(summary.seconds, SECONDS)} ({summary.ended}); "
        f"kept in {profile_path}"
    )
    for one in summary.unknown:
        reporter.say(f"unknown, not timed: {one}")
    if summary.remark:
        reporter.say(summary.remark)
    show_flags(reporter, summary.flags)
    check_strict(reporter, summary.flags, strict=strict)
