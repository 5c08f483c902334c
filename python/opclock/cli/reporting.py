"""Print the result of a command to the terminal, a JSON file or standard output."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from opclock.cli.outputs import check_json
from opclock.errors import OptionError
from opclock.files import json_text, write_json, write_whole
from opclock.formatting import duration, percent
from opclock.models.output import own_stream
from opclock.progress import Progress, step_name

if TYPE_CHECKING:
    from opclock.report.table import Table

MAX_BAR, BAR_SHARE = 24, 0.2  # columns of the bar, and its share of a narrow terminal
CLOCK = 8  # columns of the elapsed time
MIN_NAME = 12  # columns of a step's name that stay where its text is shortened
LINE_EVERY_S = 30.0  # through a pipe, while a step lasts


class Reporter:
    """Writes a result as text for a person and, if asked for, as JSON for a program and as Markdown for a page.

    With ``--json -`` only the JSON goes to standard output, and the text goes to standard error. Files are written when
    the command ends, after everything was printed: a full disk takes only the file.
    """

    def __init__(self, json_to: str | None = None, markdown_to: Path | None = None) -> None:
        """Check before any work that the JSON can be written. Raises OptionError if it cannot."""
        self.json_to = json_to
        if json_to is not None:
            check_json(json_to)
        self._markdown: list[str] | None = None  # paragraphs
        if markdown_to is not None:
            self._markdown = []
            self.file(partial(self._write_markdown, markdown_to))

    def _write_markdown(self, path: Path) -> None:
        """Write what was printed. A command that failed before it printed anything leaves the file as it was."""
        if self._markdown:
            write_whole(path, ("\n\n".join(self._markdown) + "\n").encode())

    @property
    def stream(self) -> TextIO:
        """The stream for text that a person reads."""
        return sys.stderr if self.json_to == "-" else sys.stdout

    def json(self, data: dict[str, Any]) -> None:
        """Write the JSON, if it was asked for. A file is written completely or not at all."""
        if self.json_to is None:
            return
        if self.json_to == "-":
            write(sys.stdout, json_text(data, indent=2))
        else:
            self.file(partial(write_json, Path(self.json_to), data))

    def file(self, write_it: Callable[[], object]) -> None:
        """Write a file when the command ends. It may raise OptionError."""
        context = click.get_current_context(silent=True)
        if context is None:
            write_it()
        else:
            context.call_on_close(write_it)

    def table(self, table: Table) -> None:
        """Print the table and its title. The terminal limits the width; through a pipe there is no limit."""
        width = screen_width(self.stream)
        if table.title:
            self.say(table.title)
        heading, *rows = table.lines(width)
        write(self.stream, f"\033[1m{heading}\033[0m" if bold(self.stream) else heading)
        for line in rows:
            write(self.stream, line)
        if self._markdown is not None:
            self._markdown.append(table.to_markdown())

    def say(self, text: str) -> None:
        """Print a sentence. Lines break between words to fit the terminal."""
        from opclock.report.printable import printable
        from opclock.report.table import escaped, fold

        text = printable(text)
        for line in fold(text, screen_width(self.stream), "  "):
            write(self.stream, line)
        if self._markdown is not None and text:
            self._markdown.append(escaped(text))

    def lines(self, text: str) -> None:
        """Print lines as another command has printed them."""
        for line in text.splitlines():
            write(self.stream, line)
        if self._markdown is not None and text:
            self._markdown.append("\n".join(f"    {line}" for line in text.splitlines()))

    def command(self, text: str) -> None:
        """Print a command for the user to copy, always on one line."""
        write(self.stream, f"  {text}")
        if self._markdown is not None:
            self._markdown.append(f"    {text}")


def bold(stream: TextIO) -> bool:
    """Return whether headings are bold: on a terminal that obeys control sequences, without $NO_COLOR."""
    return stream.isatty() and can_overwrite() and not os.environ.get("NO_COLOR")


def can_overwrite() -> bool:
    """Return whether the terminal obeys control sequences."""
    return os.environ.get("TERM") != "dumb"


def screen_width(stream: TextIO) -> int | None:
    """Return the terminal's width in columns, or $COLUMNS; None through a pipe, where there is no limit."""
    if os.environ.get("COLUMNS", "").isdigit() or stream.isatty():
        return max(20, shutil.get_terminal_size().columns)
    return None


def write(stream: TextIO, text: str) -> None:
    """Print one line. Characters that the stream's encoding lacks are written in ASCII, such as us for µs.

    Raises OptionError where standard output cannot be written. A remark that standard error cannot take is lost: a
    model may have closed it.
    """
    stream = own_stream(stream)
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        plain = text.replace("µ", "u").replace("°", "").replace("±", "+-")
        text = plain.encode(encoding, "backslashreplace").decode(encoding)
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        if stream is not own_stream(sys.stderr):
            raise OptionError(f"cannot write to standard output: {error.strerror}") from error


def note(text: str) -> None:
    """Print a remark on standard error. Lines break between words to fit the terminal."""
    from opclock.report.printable import printable
    from opclock.report.table import fold

    stream = own_stream(sys.stderr)
    for line in fold(printable(f"note: {text}"), screen_width(stream), "  "):
        write(stream, line)


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show this text on a terminal while the block runs. For work of a few seconds that reports no progress."""
    if not own_stream(sys.stderr).isatty():
        yield
        return
    if not can_overwrite():
        write(sys.stderr, text)
        yield
        return
    text = text[: max(0, shutil.get_terminal_size().columns - 1)]
    stream = own_stream(sys.stderr)
    click.echo(text, file=stream, nl=False)
    try:
        yield
    finally:
        click.echo(f"\r{' ' * len(text)}\r", file=stream, nl=False)


class Display:
    """Shows progress, and makes room for what is printed meanwhile."""

    def __init__(self, show: Progress, stop: Callable[[], object], go_on: Callable[[], object]) -> None:
        self._show, self._stop, self._go_on = show, stop, go_on

    def __call__(self, text: str, fraction: float) -> None:
        """Show a step and how much of the whole is done."""
        self._show(text, fraction)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Take the bar from the terminal while the block prints."""
        self._stop()
        try:
            yield
        finally:
            self._go_on()


@contextmanager
def progress_display(text: str = "starting", *, steps: bool = True) -> Iterator[Display]:
    """Show progress on standard error: a bar that starts with this text, or lines of steps.

    Args:
        text: beside the bar at first.
        steps: whether there are lines where there is no bar; not where steps overlap.
    """
    if not (own_stream(sys.stderr).isatty() and can_overwrite()):
        lines = _StepLines()
        yield Display(lines.update if steps else lambda _text, _fraction: None, lambda: None, lambda: None)
        lines.finish()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(file=own_stream(sys.stderr))
    bar_width = min(MAX_BAR, int(BAR_SHARE * console.width))
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width), TimeElapsedColumn())

    def fitted(text: str) -> str:
        return _fitted(text, console.width - bar_width - CLOCK - len(columns))

    # Bar would show the model's output itself, again with every round.
    with Bar(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task(fitted(text), total=1.0)
        yield Display(lambda text, fraction: bar.update(task, description=fitted(text), completed=fraction),
                      bar.stop, bar.start)  # fmt: skip


def _fitted(text: str, width: int) -> str:
    """Shorten a progress text to this many columns: its step's name first, as the rest may say how long it takes."""
    from rich.cells import cell_len, chop_cells

    def cut(words: str, columns: int) -> str:
        return words if cell_len(words) <= columns else next(iter(chop_cells(words, max(1, columns - 1))), "") + "…"

    name = step_name(text)
    rest = text[len(name) :]
    return cut(cut(name, max(MIN_NAME, width - cell_len(rest))) + rest, max(1, width))


class _StepLines:
    """Progress through a pipe: a line when all begins and when a step ends, and now and then while one lasts."""

    def __init__(self) -> None:
        self._step = ""
        self._began: float | None = None  # the current step
        self._latest = 0.0  # line

    def update(self, text: str, fraction: float) -> None:
        """Finish the current step if this text names another; else print the text where the last line is old."""
        step, now = step_name(text), time.monotonic()
        if step != self._step:
            if self._began is None:
                write(sys.stderr, text)
            self.finish()
            self._step, self._began, self._latest = step, now, now
        elif now - self._latest >= LINE_EVERY_S:
            write(sys.stderr, f"{text} ({percent(fraction)} of all)")
            self._latest = now

    def finish(self) -> None:
        """Print how long the current step took."""
        if self._step and self._began is not None:
            write(sys.stderr, f"{self._step}: done in {duration(time.monotonic() - self._began)}")
            self._step = ""
