"""Where results go: JSON files, standard output, tables, progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from opclock.errors import OptionError
from opclock.files import write_whole
from opclock.progress import Progress as Report


def check_json(json_to: str | None) -> None:
    """See before any work that the JSON can be written. Raises OptionError where its folder is missing."""
    if json_to not in (None, "-"):
        path = Path(json_to)  # type: ignore[arg-type]
        if not path.parent.is_dir() or path.is_dir():
            raise OptionError(
                f"--json {json_to}: there is no such folder, or it is one; name a file in a folder there is"
            )


def write_json(json_to: str, data: dict[str, Any]) -> None:
    """Write to the file, whole or not at all; "-" is standard output."""
    text = json.dumps(data, indent=2) + "\n"
    if json_to == "-":
        sys.stdout.write(text)
    else:
        write_whole(Path(json_to), text.encode())


def say(text: str, json_to: str | None) -> None:
    """Print for a person; to standard error where standard output belongs to JSON."""
    print(text, file=sys.stderr if json_to == "-" else sys.stdout)


def show_table(frame: pd.DataFrame, title: str, json_to: str | None) -> None:
    """A table of texts; numbers to the right."""
    console = Console(stderr=json_to == "-", highlight=False)
    if not console.is_terminal:
        console = Console(stderr=json_to == "-", highlight=False, width=200)
    if title:
        console.print(title, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for number, column in enumerate(frame.columns):
        table.add_column(str(column), justify="left" if number == 0 else "right", no_wrap=True)
    for row in frame.itertuples(index=False):
        table.add_row(*(str(value) for value in row))
    console.print(table)


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """A spinner on a terminal, for work of some seconds that cannot say how far it is."""
    with Console(stderr=True).status(text):
        yield


@contextmanager
def progress_bar() -> Iterator[Report]:
    """A bar on standard error; without a terminal, one line for each new thing done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        last = ""

        def line(text: str, _fraction: float) -> None:
            nonlocal last
            subject = text.partition(": round")[0]
            if subject != last:
                last = subject
                print(subject, file=sys.stderr, flush=True)  # noqa: T201

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda text, fraction: bar.update(task, description=text, completed=fraction)
