"""opclock crosscheck: compare opclock's timing with vendors' benchmarks."""

from __future__ import annotations

import click

from opclock.cli import options
from opclock.cli.reporting import Reporter, progress_display
from opclock.formatting import counted


@click.command()
@options.model_argument
@options.input_option
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Items in one inference.")
@options.threads_option
@options.cpus_option
@options.reporter_option
@options.needs_core
def crosscheck(model: str, input_text: str | None, batch: int, threads: int | None, reporter: Reporter) -> None:
    """Time MODEL with each installed vendor benchmark and with opclock, in turn.

    The benchmarks are OpenVINO's benchmark_app, LiteRT's litert-benchmark and TensorRT's trtexec. Each runs the file
    that opclock converted. The table shows the deviation, and how much each tool varies from turn to turn.
    """
    from opclock.benchmarking.vendor_tools import crosscheck as run
    from opclock.report.crosscheck_table import table
    from opclock.runtimes.runtime import Settings

    settings = Settings(options.checked_threads(threads))
    with progress_display() as progress:
        checks = run(model, input_text=input_text, batch=batch, settings=settings, progress=progress)
    reporter.json({"schema": "opclock.crosscheck/1", "model": model, "settings": vars(settings),
                   "checks": [check.to_json() for check in checks]})  # fmt: skip
    done = [check for check in checks if not check.reason]
    if done:
        reporter.table(table(done, f"{model}, batch {batch}, {counted(settings.threads, 'thread')}"))
    for check in checks:
        if check.reason:
            reporter.say(f"{check.command}: {check.reason}")
