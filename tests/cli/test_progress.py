"""Progress as a person sees it: a bar on a terminal, lines through a pipe."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stderr
from unittest.mock import Mock

import pytest
from helpers import Screen

from opclock.cli.reporting import progress_display
from opclock.progress import step


def test_progress_through_a_pipe_is_a_line_at_the_beginning_and_one_a_finished_step():
    """A study said nothing for 100 s while the first processes warmed up."""
    with redirect_stderr(io.StringIO()) as pipe, progress_display() as progress:
        for number, model in enumerate(("vgg16", "[red]net"), start=1):
            mine = step(progress, number, 2)
            for count in range(3):
                mine(f"{model}: round {count}", count / 3)
    lines = [re.sub(r"\d+\.\d s$", "TIME", line) for line in pipe.getvalue().splitlines()]
    assert lines == ["[1/2] vgg16: round 0", "[1/2] vgg16: done in TIME", "[2/2] [red]net: done in TIME"]


def test_a_long_step_has_a_line_every_half_minute_through_a_pipe(monkeypatch):
    """A sweep of ten minutes seemed to hang."""
    monkeypatch.setattr("opclock.cli.reporting.time", clock := Mock())
    with redirect_stderr(io.StringIO()) as pipe, progress_display() as progress:
        for seconds in range(70):
            clock.monotonic.return_value = float(seconds)
            progress(f"sweep, 1 thread: {seconds} of 70 kernels", seconds / 70)
    assert pipe.getvalue().splitlines() == [
        "sweep, 1 thread: 0 of 70 kernels",
        "sweep, 1 thread: 30 of 70 kernels (42.9 % of all)",
        "sweep, 1 thread: 60 of 70 kernels (85.7 % of all)",
        "sweep, 1 thread: done in 69 s",
    ]


def test_progress_on_a_terminal_takes_any_text():
    with redirect_stderr(Screen()) as screen, progress_display() as progress:
        progress("[1/2] net[/x]: round 1", 0.5)
    assert "net[/x]" in screen.getvalue()


@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.parametrize("text", [
    "[3/10] torchvision:a_model_with_a_name_that_is_rather_long_indeed: kernels and reference in turn, 12 clean of 80",
    "a text without a colon that goes on for longer than any terminal is wide, and then some more of it after that",
    "モデル" * 30 + ": 3 rounds",
], ids=["a long name", "no name", "wide characters"])  # fmt: skip
def test_a_long_text_does_not_push_the_clock_off_the_line(monkeypatch, columns, text):
    monkeypatch.setenv("COLUMNS", str(columns))
    with redirect_stderr(Screen()) as screen, progress_display() as progress:
        progress(text, 0.5)
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue()).replace("\r", "\n").splitlines()
    shown = [line for line in lines if text[:4] in line]
    assert shown
    assert all(re.search(r"…? .*\d:\d\d:\d\d$", line.rstrip()) for line in shown), shown
    assert "…" in shown[-1] or len(text) < columns


def test_the_end_of_a_progress_text_stays(monkeypatch):
    """A sweep says there how much time is left."""
    monkeypatch.setenv("COLUMNS", "80")
    with redirect_stderr(Screen()) as screen, progress_display() as progress:
        progress("sweep, 12 threads of this board: 123 of 456 kernels, 12 min left", 0.5)
    assert "123 of 456 kernels, 12 min left" in screen.getvalue()


def test_a_dumb_terminal_gets_progress_in_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with redirect_stderr(Screen()) as screen, progress_display() as progress:
        progress("net: round 1", 0.5)
    assert screen.getvalue().startswith("net: round 1\nnet: done in ")


def test_what_is_printed_meanwhile_has_a_line_of_its_own():
    """A board's answer followed the bar on its line."""
    with redirect_stderr(Screen()) as screen, progress_display() as progress:
        progress("1 of 2 jobs done", 0.5)
        with progress.away():
            print("== a: done", file=screen)
        progress("2 of 2 jobs done", 1.0)
    before, after = screen.getvalue().split("== a: done\n")
    assert before.endswith("\x1b[2K")
    assert "0:00:0" in before
    assert "\x1b[2K" in after


def test_steps_that_overlap_have_no_lines():
    """Through a pipe, boards were "0 of 2 jobs done: done in 0.9 s"."""
    with redirect_stderr(io.StringIO()) as pipe, progress_display(steps=False) as progress:
        progress("0 of 2 jobs done", 0.0)
        progress("1 of 2 jobs done", 0.5)
    assert pipe.getvalue() == ""
