"""opclock explore: an interactive page of estimates."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from opclock.cli.outputs import check_output
from opclock.cli.reporting import waiting, write
from opclock.files import write_whole


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--page", "page_to", metavar="FILE.html", type=click.Path(path_type=Path), default="explore.html",
              show_default=True, help="The page to write.")  # fmt: skip
def explore(files: tuple[Path, ...], page_to: Path) -> None:
    """Write an interactive page about where the time goes.

    FILE is an estimate (FILE.json, from 'opclock estimate --json'), a validation (FILE.json, from 'opclock validate
    --json') or a profile, whose measured models are estimated. Two estimates can be shown beside each other: before and
    after a change, float32 and int8, two boards. The page opens in a browser and needs no network.
    """
    from opclock.report.explorer import page

    check_output("--page", page_to, (".html",))
    with waiting("reading the estimates"):
        content = page(files).encode()
    write_whole(page_to, content)
    write(sys.stdout, f"written to {page_to}: open it in a browser")
