"""opclock ceilings: the highest rates that this board reaches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from opclock.cli import options
from opclock.cli.flags import show_flags
from opclock.cli.outputs import check_output
from opclock.cli.reporting import Reporter, progress_display
from opclock.errors import OptionError
from opclock.models.output import model_output_apart

if TYPE_CHECKING:
    from opclock.prediction.ceilings import Ceilings
    from opclock.profiles.profile import Profile

PICTURES = (".png", ".svg")


@click.command()
@options.threads_option
@options.cpus_option
@options.profile_option("opclock.sqlite")
@click.option("--roofline", type=click.Path(path_type=Path), help="Draw a roofline to this .png or .svg file.")
@click.option("--model", help="Add this model's op calls to the roofline, with times from the profile.")
@options.input_option
@click.option("--again", is_flag=True, help="Measure again; the new samples count beside the earlier ones.")
@options.reporter_option
@options.needs_core
def ceilings(
    threads: int | None, profile_path: Path, roofline: Path | None, model: str | None, input_text: str | None,
    again: bool, reporter: Reporter,
) -> None:  # fmt: skip
    """Measure the highest rates that this board reaches, and store them in the profile.

    They are multiply-adds per second by dtype, memory bandwidth by working set and access pattern, and load latency.
    """
    from opclock.timing.ceiling_runs import measure_ceilings, remeasure_ceilings

    check_output("--roofline", roofline, PICTURES)
    if model is not None and roofline is None:
        raise OptionError("--model is drawn on a roofline: give --roofline FILE.png as well")
    count = options.checked_threads(threads)
    with options.writable_profile(profile_path) as profile:
        with progress_display() as progress:
            if again:
                remeasure_ceilings(profile, count, progress)
            measured = measure_ceilings(profile, count, progress)
        if roofline is not None:
            _draw(profile, measured, roofline, model, input_text)
    _report(measured, roofline, reporter)


def _report(measured: Ceilings, roofline: Path | None, reporter: Reporter) -> None:
    from opclock.extension import load_core
    from opclock.report.ceilings_tables import memory_table, multiply_add_table

    reporter.json({"schema": "opclock.ceilings/1", **measured.to_json()})
    reporter.table(multiply_add_table(measured, load_core().vector_instructions))
    reporter.say("")
    reporter.table(memory_table(measured))
    show_flags(reporter, measured.flags)
    if roofline is not None:
        reporter.say(f"drawn: {roofline}")


def _draw(profile: Profile, measured: Ceilings, roofline: Path, model: str | None, input_text: str | None) -> None:
    import io

    from opclock.estimation.estimate import estimate
    from opclock.files import write_whole
    from opclock.models.loading import load_model
    from opclock.report.roofline import model_points, roofline_figure, sweep_points
    from opclock.sweeps.results import sweep_rows
    from opclock.tracing.recorder import trace

    points = sweep_points(sweep_rows(profile, threads=[measured.threads]))
    if model is not None:
        with model_output_apart():
            loaded = load_model(model, input_text=input_text)
            traced = trace(loaded.module, loaded.inputs, name=loaded.name, reset=loaded.reset)
        points += model_points(traced, estimate(traced, profile, threads=measured.threads))
    buffer = io.BytesIO()
    roofline_figure(measured, points).savefig(buffer, format=roofline.suffix[1:])
    write_whole(roofline, buffer.getvalue())
