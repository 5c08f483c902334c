"""Progress as a person sees it: a bar on a terminal, lines through a pipe."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stderr

from helpers import Screen

from opclock.cli.reporting import progress_display
from opclock.progress import step


def test_progress_through_a_pipe_is_one_line_a_finished_step():
    with redirect_stderr(io.StringIO()) as pipe, progress_display() as progress:
        for number, model in enumerate(("vgg16", "[red]net"), start=1):
            mine = step(progress, number, 2)
            for count in range(3):
                mine(f"{model}: round {count}", count / 3)
    lines = [re.sub(r"\d+\.\d s$", "TIME", line) for line in pipe.getvalue().splitlines()]
    assert lines == ["[1/2] vgg16: done in TIME", "[2/2] [red]net: done in TIME"]


def test_progress_on_a_terminal_takes_any_text():
    with redirect_stderr(Screen()) as screen, progress_display() as progress:
        progress("[1/2] net[/x]: round 1", 0.5)
    assert "net[/x]" in screen.getvalue()


def test_a_dumb_terminal_gets_progress_in_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with redirect_stderr(Screen()) as screen, progress_display() as progress:
        progress("net: round 1", 0.5)
    assert screen.getvalue().startswith("net: done in ")
