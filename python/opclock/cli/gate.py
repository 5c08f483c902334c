"""opclock gate: whether a change makes models slower."""

from __future__ import annotations

import math
import sys

import click

from opclock.cli import options
from opclock.cli.flags import show_flags
from opclock.cli.reporting import Reporter, progress_display
from opclock.errors import OptionError

CLOSED = 1  # exit code where a model is slower


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option("--base", metavar="ENV|REV", required=True, help="What to compare with: an environment or a revision.")
@click.option("--head", metavar="ENV|REV", default=".", show_default=True,
              help="What to judge; . is the working tree as it is.")  # fmt: skip
@click.option("--max-slowdown", type=float, default=0.05, show_default=True, help="Allowed slowdown, a fraction.")
@click.option("--install", is_flag=True, help="Install the project of a revision with pip, once, before it is run.")
@options.input_option
@options.threads_option
@options.cpus_option
@options.reporter_option
@options.needs_core
def gate(
    models: tuple[str, ...], base: str, head: str, max_slowdown: float, install: bool, input_text: str | None,
    threads: int | None, reporter: Reporter,
) -> None:  # fmt: skip
    """Run each MODEL with two environments or revisions in turn, and exit with 1 if the head is slower.

    A side is a revision of the git repository around the working directory (main, v1.2, HEAD~1), which is checked out
    once into ~/.cache/opclock; or a virtual environment or a Python interpreter, which needs torch, numpy, scipy and
    psutil; or a folder with sources. Ten processes run the model, five of each side, block by block in turn. So a
    slow minute of the machine falls on both.

    The verdict is "slower" if the head takes more than --max-slowdown longer, chance does not explain it, and processes
    of one side do not differ as much from each other (the A/A floor); else "same", "faster" or "undecided". At most two
    in a hundred of the verdicts "slower" and "faster" are due to chance.
    """
    from opclock.gating.gate import gate as run
    from opclock.gating.sides import choose_side, notes
    from opclock.report.gate_table import conclusion, table

    if not 0 <= max_slowdown < math.inf:
        raise OptionError(f"--max-slowdown {max_slowdown}: give a fraction of 0 or more, such as 0.05")
    count = options.checked_threads(threads)
    with progress_display("checking out") as progress:
        sides = (
            choose_side("base", base, install=install, progress=progress),
            choose_side("head", head, install=install, progress=progress),
        )
        if install and all(side.checkout is None for side in sides):
            raise OptionError("--install: neither side is a revision, and nothing else is installed; leave it out")
        done = run(models, sides, threads=count, input_text=input_text, max_slowdown=max_slowdown, progress=progress)
    reporter.json(done.to_json())
    reporter.table(table(done))
    reporter.say(conclusion(done))
    for note in notes(sides):
        reporter.say(f"note: {note}")
    show_flags(reporter, [flag for row in done.rows for flag in row.flags])
    if done.slower:
        sys.exit(CLOSED)
