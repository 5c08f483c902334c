"""opclock bench: time one model in several runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from opclock.cli import options
from opclock.cli.flags import check_strict, show_flags, strict_option
from opclock.cli.reporting import Reporter, progress_display
from opclock.errors import OptionError
from opclock.formatting import counted

if TYPE_CHECKING:
    from opclock.runtimes.runtime import Precision


@click.command()
@options.model_argument
@options.runtimes_option
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Items in one inference.")
@options.batch_dim_option
@options.input_option
@options.weights_option
@options.precision_option
@click.option("--warmup", type=click.IntRange(min=1), default=3, show_default=True, help="Runs before timing starts.")
@click.option("--iterations", type=click.IntRange(min=2), default=200, show_default=True,
              help="Maximum timed runs of each runtime.")  # fmt: skip
@click.option("--duration", "duration_s", type=click.FloatRange(min=0.01), default=3.0, show_default=True,
              help="Maximum seconds for each runtime.")  # fmt: skip
@click.option("--percentiles", default="90,95,99", show_default=True, help="Latency percentiles, separated by commas.")
@options.threads_option
@options.cpus_option
@options.keep_option
@strict_option
@options.reporter_option
@options.needs_core
def bench(
    model: str, runtimes: str, batch: int, batch_dim: int | None, input_text: str | None, weights: Path | None,
    precision: Precision, warmup: int, iterations: int, duration_s: float, percentiles: str, threads: int | None,
    keep: Path | None, strict: bool, reporter: Reporter,
) -> None:  # fmt: skip
    """Time MODEL in several runtimes in turn, each in its own process.

    Before timing, the output of every runtime is compared with the output of eager PyTorch. A runtime that is missing,
    fails, hangs or gives wrong outputs is listed with the reason.
    """
    from opclock.benchmarking.bench import bench as run
    from opclock.benchmarking.options import SamplingOptions
    from opclock.report.bench_table import failures, table
    from opclock.runtimes.runtime import Settings

    wanted = parse_percentiles(percentiles)
    names = options.checked_runtimes(runtimes)
    settings = Settings(options.checked_threads(threads), precision)
    sampling = SamplingOptions(warmup, iterations, duration_s)
    with progress_display() as progress:
        result = run(model, runtimes=names, batch=batch, batch_dim=batch_dim, input_text=input_text, weights=weights,
                     settings=settings, sampling=sampling, folder=keep, progress=progress)  # fmt: skip
    reporter.json(result.to_json(wanted))
    frame = result.to_frame(wanted)
    title = f"{model}, batch {batch}, {precision}, {counted(settings.threads, 'thread')}: {result.board['identity']}"
    reporter.table(table(frame, title, wanted))
    if result.note:
        reporter.say(result.note)
    for line in failures(frame):
        reporter.say(line)
    flags = [flag for row in result.rows for flag in row.flags]
    show_flags(reporter, flags)
    check_strict(reporter, flags, strict=strict)


def parse_percentiles(text: str) -> tuple[float, ...]:
    """Read numbers above 0 and below 100, separated by commas. Raises OptionError for anything else."""
    try:
        percentiles = tuple(float(part) for part in text.split(","))
    except ValueError:
        percentiles = ()
    if not percentiles or not all(0 < value < 100 for value in percentiles):
        raise OptionError(f"--percentiles {text!r}: write numbers above 0 and below 100 by commas, such as 90,95,99")
    return percentiles
