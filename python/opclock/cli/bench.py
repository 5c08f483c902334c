"""opclock bench: time one model in several runtimes."""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opclock.cli import options
from opclock.cli.flags import check_strict, show_flags, strict_option
from opclock.cli.number_range import NumberRange
from opclock.cli.on import on_boards
from opclock.cli.outputs import check_output
from opclock.cli.reporting import Reporter, progress_display
from opclock.errors import OptionError
from opclock.formatting import counted

if TYPE_CHECKING:
    from opclock.benchmarking.bench import Bench
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
              help="Timed runs of each runtime that are enough; disturbed ones do not count.")  # fmt: skip
@click.option("--duration", "duration_s", type=NumberRange(min=0.01), default=3.0, show_default=True,
              help="Maximum seconds for each runtime.")  # fmt: skip
@click.option("--percentiles", default="90,95,99", show_default=True, help="Latency percentiles, separated by commas.")
@options.threads_option
@options.cpus_option
@options.keep_option
@click.option("--operators", is_flag=True,
              help="Also show the times of operators, and which operators no delegate ran.")  # fmt: skip
@click.option("--export", "export_to", metavar="FILE.yaml", type=click.Path(path_type=Path),
              help="Write a perf.yaml: times, versions and layer counts by device and runtime.")  # fmt: skip
@strict_option
@options.reporter_option
@on_boards
@options.needs_core
def bench(
    model: str, runtimes: str, batch: int, batch_dim: int | None, input_text: str | None, weights: Path | None,
    precision: Precision, warmup: int, iterations: int, duration_s: float, percentiles: str, threads: int | None,
    keep: Path | None, operators: bool, export_to: Path | None, strict: bool, reporter: Reporter,
) -> None:  # fmt: skip
    """Time MODEL in several runtimes in turn, each in its own process.

    Before timing, the output of every runtime is compared with the output of eager PyTorch. A runtime that is missing,
    fails, hangs or gives wrong outputs is listed with the reason.
    """
    from opclock.benchmarking.bench import bench as run
    from opclock.benchmarking.options import SamplingOptions
    from opclock.runtimes.runtime import Settings

    wanted = parse_percentiles(percentiles)
    if export_to is not None:
        check_output("--export", export_to, (".yaml", ".yml"))
        importlib.import_module("yaml")  # with which it is written
    names = options.checked_runtimes(runtimes)
    settings = Settings(options.checked_threads(threads), precision)
    sampling = SamplingOptions(warmup, iterations, duration_s)
    with progress_display() as progress:
        result = run(model, runtimes=names, batch=batch, batch_dim=batch_dim, input_text=input_text, weights=weights,
                     settings=settings, sampling=sampling, operators=operators or export_to is not None, folder=keep,
                     progress=progress)  # fmt: skip
    if export_to is not None:
        from opclock.report.perf_yaml import write

        reporter.file(partial(write, result, export_to))
    _report(result, wanted, reporter, operators=operators)
    flags = [flag for row in result.rows for flag in row.flags]
    show_flags(reporter, flags)
    check_strict(reporter, flags, strict=strict)


def _report(result: Bench, percentiles: tuple[float, ...], reporter: Reporter, *, operators: bool) -> None:
    from opclock.report.bench_table import failures, table

    reporter.json(result.to_json(percentiles))
    frame, settings = result.to_frame(percentiles), result.settings
    title = (f"{result.model}, batch {result.rows[0].batch}, {settings.precision}, "
             f"{counted(settings.threads, 'thread')}: {result.board['identity']}")  # fmt: skip
    reporter.table(table(frame, title, percentiles))
    if result.note:
        reporter.say(result.note)
    for line in failures(frame):
        reporter.say(line)
    if operators:
        _show_operators(result, reporter)


def _show_operators(result: Bench, reporter: Reporter) -> None:
    from opclock.report.operators_table import fallback_sentence, table, untold_sentence

    if any(row.operators for row in result.rows):
        reporter.say("")
        reporter.table(table(result.rows))
    for row in result.rows:
        if sentence := fallback_sentence(row) or untold_sentence(row):
            reporter.say(sentence)


def parse_percentiles(text: str) -> tuple[float, ...]:
    """Read numbers above 0 and below 100, separated by commas. Raises OptionError for anything else."""
    try:
        percentiles = tuple(float(part) for part in text.split(","))
    except ValueError:
        percentiles = ()
    if not percentiles or not all(0 < value < 100 for value in percentiles):
        raise OptionError(f"--percentiles {text!r}: write numbers above 0 and below 100 by commas, such as 90,95,99")
    return percentiles
