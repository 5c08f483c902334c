"""opclock batch: which batch size is worth it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opclock.cli import options
from opclock.cli.output import check_json, progress_bar, say, show_table, write_json
from opclock.errors import OptionError
from opclock.files import write_whole

if TYPE_CHECKING:
    from opclock.runtimes.runtime import Precision


@click.command()
@options.model_argument
@click.option("--runtime", default="eager", show_default=True, help="The one runtime to measure in.")
@click.option("--share", type=float, default=0.95, show_default=True, help="Of the best throughput, a fraction.")
@click.option("--most", type=click.IntRange(min=1), default=256, show_default=True, help="The largest batch to try.")
@options.input_option
@options.precision_option
@options.threads_option
@options.cpus_option
@options.profile_option(None)
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the curves: a .png or .svg file.")
@options.json_option
def batch(
    model: str,
    runtime: str,
    share: float,
    most: int,
    input_text: str | None,
    precision: Precision,
    threads: int | None,
    profile_path: Path | None,
    plot: Path | None,
    json_to: str | None,
) -> None:
    """Throughput of MODEL against batch size, measured, and in eager PyTorch also estimated from kernels alone.

    The batch is doubled until memory ends or nothing more is gained. The smallest batch within --share of the best
    throughput is named.
    """
    from opclock.benchmarking.batch_scaling import together
    from opclock.benchmarking.batch_search import curves
    from opclock.board.identity import read_board
    from opclock.profiles.profile import Profile
    from opclock.report.batch_report import draw, sentence, shown
    from opclock.runtimes.runtime import Settings

    check_json(json_to)
    if not 0 < share <= 1:
        raise OptionError(f"--share {share}: give a fraction above 0 and up to 1, such as 0.95")
    if plot is not None and plot.suffix not in (".png", ".svg"):
        raise OptionError(f"--plot {plot}: end the name in .png or .svg")
    options.checked_runtimes(runtime)
    settings = Settings(options.checked_threads(threads), precision)
    with tempfile.TemporaryDirectory() as folder:
        path = profile_path or Path(folder) / "profile.sqlite"
        with Profile.create_or_open(path, read_board()) as profile, progress_bar() as progress:
            made = curves(model, runtime=runtime, input_text=input_text, settings=settings, most=most,
                          profile=profile, progress=progress)  # fmt: skip
    if json_to:
        write_json(json_to, {"schema": "opclock.batch/1", "share": share, "settings": vars(settings),
                             "board": read_board().to_json(), "curves": [curve.to_json() for curve in made],
                             "smallest": {curve.source: curve.smallest(share) for curve in made}})  # fmt: skip
    if plot is not None:
        write_whole(plot, draw(made, share, plot.suffix[1:]))
    show_table(shown(together(made)), f"{model}, {settings.threads} threads", json_to)
    for curve in made:
        say(sentence(curve, share), json_to)
