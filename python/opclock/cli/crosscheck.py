"""opclock crosscheck: vendors' own benchmarks against opclock."""

from __future__ import annotations

import click
import pandas as pd

from opclock.cli import options
from opclock.cli.output import check_json, progress_bar, say, show_table, write_json


@click.command()
@options.model_argument
@options.input_option
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Items in one inference.")
@options.threads_option
@options.cpus_option
@options.json_option
def crosscheck(model: str, input_text: str | None, batch: int, threads: int | None, json_to: str | None) -> None:
    """Run the benchmark commands of vendors that are found here on MODEL, in turn with opclock's own timing.

    OpenVINO's benchmark_app, LiteRT's litert-benchmark, TensorRT's trtexec: each on the very file that opclock
    converted. The deviation stands beside how far each differs from turn to turn.
    """
    from opclock.benchmarking.vendor_tools import crosscheck as run
    from opclock.runtimes.runtime import Settings

    check_json(json_to)
    settings = Settings(options.checked_threads(threads))
    with progress_bar() as progress:
        checks = run(model, input_text=input_text, batch=batch, settings=settings, progress=progress)
    if json_to:
        write_json(json_to, {"schema": "opclock.crosscheck/1", "model": model, "settings": vars(settings),
                             "checks": [check.to_json() for check in checks]})  # fmt: skip
    done = [check for check in checks if not check.reason]
    if done:
        show_table(pd.DataFrame([
            {
                "command": check.command, "runtime": check.runtime,
                "opclock (ms)": f"{float(pd.Series(check.ours_s).median()) * 1e3:.3f}",
                "vendor (ms)": f"{float(pd.Series(check.theirs_s).median()) * 1e3:.3f}",
                "deviation": f"{check.deviation:+.1%}",
                "opclock's turns": f"±{check.spread[0]:.1%}", "vendor's turns": f"±{check.spread[1]:.1%}",
            }
            for check in done
        ]), f"{model}, batch {batch}, {settings.threads} threads", json_to)  # fmt: skip
    for check in checks:
        if check.reason:
            say(f"{check.command}: {check.reason}", json_to)
