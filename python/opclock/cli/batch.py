"""opclock batch: the smallest batch with nearly the best throughput."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opclock.cli import options
from opclock.cli.flags import check_strict, show_flags, strict_option
from opclock.cli.on import on_boards
from opclock.cli.outputs import check_output
from opclock.cli.reporting import Reporter, progress_display
from opclock.errors import OptionError
from opclock.files import write_whole
from opclock.formatting import counted

if TYPE_CHECKING:
    from opclock.benchmarking.batch_scaling import BatchCurve
    from opclock.runtimes.runtime import Precision, Settings


@click.command()
@options.model_argument
@click.option("--runtime", default="eager", show_default=True, help="The runtime to measure.")
@click.option("--share", type=float, default=0.95, show_default=True, help="Fraction of the best throughput to reach.")
@click.option("--max-batch", type=click.IntRange(min=1), default=256, show_default=True, help="Largest batch to try.")
@options.batch_dim_option
@options.input_option
@options.precision_option
@options.threads_option
@options.cpus_option
@options.profile_option(None)
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the curves into a .png or .svg file.")
@strict_option
@options.reporter_option
@on_boards
@options.needs_core
def batch(
    model: str, runtime: str, share: float, max_batch: int, batch_dim: int | None, input_text: str | None,
    precision: Precision, threads: int | None, profile_path: Path | None, plot: Path | None, strict: bool,
    reporter: Reporter,
) -> None:  # fmt: skip
    """Measure MODEL's throughput at growing batch sizes. For eager PyTorch, also estimate it from kernels alone.

    The batch doubles until memory runs out or throughput stops growing. The output names the smallest batch that
    reaches --share of the best throughput.
    """
    from opclock.benchmarking.batch_search import curves
    from opclock.runtimes.runtime import Settings

    if not 0 < share <= 1:
        raise OptionError(f"--share {share}: give a fraction above 0 and up to 1, such as 0.95")
    check_output("--plot", plot, (".png", ".svg"))
    options.checked_runtimes(runtime)
    settings = Settings(options.checked_threads(threads), precision)
    with options.writable_profile(profile_path) as profile, progress_display() as progress:
        measured = curves(model, runtime=runtime, input_text=input_text, batch_dim=batch_dim, settings=settings,
                          max_batch=max_batch, profile=profile, progress=progress)  # fmt: skip
    _report(model, measured, share, settings, plot, reporter)
    flags = [flag for curve in measured for point in curve.points for flag in point.flags]
    show_flags(reporter, flags)
    check_strict(reporter, flags, strict=strict)


def _report(
    model: str, curves: Sequence[BatchCurve], share: float, settings: Settings, plot: Path | None, reporter: Reporter
) -> None:
    from opclock.benchmarking.batch_scaling import together
    from opclock.board.identity import read_board
    from opclock.report.batch_report import draw, sentence, table

    reporter.json({"schema": "opclock.batch/1", "share": share, "settings": vars(settings),
                   "board": read_board().to_json(), "curves": [curve.to_json() for curve in curves],
                   "smallest": {curve.source: curve.smallest(share) for curve in curves}})  # fmt: skip
    if plot is not None:
        reporter.file(lambda: write_whole(plot, draw(curves, share, plot.suffix[1:])))
    reporter.table(table(together(curves), f"{model}, {counted(settings.threads, 'thread')}"))
    for note in sorted({curve.note for curve in curves if curve.note}):
        reporter.say(note)
    for curve in curves:
        reporter.say(sentence(curve, share))
