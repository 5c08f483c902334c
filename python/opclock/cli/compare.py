"""opclock compare: the times of the same op calls in two profiles."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opclock.cli import options
from opclock.cli.reporting import Reporter, progress_display
from opclock.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "opclock.compare/1"


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--fresh", is_flag=True, help="Measure the shared op calls again here, both sides in turn.")
@click.option("--first-python", metavar="PATH", help="Interpreter that measures FIRST again.  [default: this one]")
@click.option("--second-python", metavar="PATH", help="Interpreter that measures SECOND again.  [default: this one]")
@options.reporter_option
def compare(
    first: Path, second: Path, fresh: bool, first_python: str | None, second_python: str | None, reporter: Reporter
) -> None:
    """Compare the op calls that two profiles share: two boards, two torch versions, or before and after a change.

    The ratio is the time in SECOND divided by the time in FIRST, with a 95 % interval. On one machine, the change of
    the machine itself is taken off, as control workloads in both profiles show it. The verdict is "same" if the op
    call is within 10 %, "faster" or "slower" if chance does not explain the difference, else "undecided". At most
    two in a hundred of the changes are due to chance. The reason stands beside each verdict.

    With --fresh the times in the profiles are not used. One process for each side measures the op calls again, block
    by block in turn, each in its own environment. The profiles stay as they are.
    """
    if not fresh:
        for option, python in (("--first-python", first_python), ("--second-python", second_python)):
            if python is not None:
                raise OptionError(f"{option} {python}: an interpreter only measures with --fresh")
        _compare(first, second, reporter)
        return
    _measure_again(first, second, (first_python or sys.executable, second_python or sys.executable), reporter)


def _compare(first: Path, second: Path, reporter: Reporter) -> None:
    from opclock.profiles.comparison import compare as compared
    from opclock.profiles.profile import Profile

    with Profile.open(first) as one, Profile.open(second) as other:
        frame = compared(one, other)
        boards = [profile.board()["identity"] for profile in (one, other)]
    reporter.json({"schema": SCHEMA, "boards": boards, "rows": frame.to_dict("records")})
    _show(frame, f"first: {boards[0]}; second: {boards[1]}", reporter)


def _measure_again(first: Path, second: Path, pythons: tuple[str, str], reporter: Reporter) -> None:
    from opclock.comparing.fresh import remeasured

    with progress_display() as progress, remeasured(first, second, pythons, progress) as measured:
        frame = measured.table()
    sides = [
        {"python": python, **{name: board[name] for name in ("torch", "opclock", "commit")}}
        for python, board in zip(pythons, measured.boards, strict=True)
    ]
    boards = [board["identity"] for board in measured.boards]
    reporter.json({"schema": SCHEMA, "boards": boards, "sides": sides, "rows": frame.to_dict("records")})
    if pythons[0] == pythons[1]:
        reporter.say(f"note: {pythons[0]} measured both sides, so nothing but chance differs; name another environment "
                     "with --second-python")  # fmt: skip
    _show(frame, "; ".join(f"{name}: {board}, {python}" for name, board, python in zip(
        ("first", "second"), boards, pythons, strict=True)), reporter)  # fmt: skip


def _show(frame: pd.DataFrame, title: str, reporter: Reporter) -> None:
    from opclock.report.comparison_table import counts, table

    reporter.table(table(frame, title))
    reporter.say(counts(frame))
