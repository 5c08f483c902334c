"""opclock compare: the same op calls in two profiles, or the modules of two estimates."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opclock.cli import options
from opclock.cli.flags import show_flags
from opclock.cli.reporting import Reporter, progress_display
from opclock.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "opclock.compare/1"
ESTIMATES_SCHEMA = "opclock.compare_estimates/1"
DEPTH = 2  # "features.3": the blocks of most networks


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--fresh", is_flag=True, help="Measure the shared op calls again here, both sides in turn.")
@click.option("--first-python", metavar="PATH", help="Interpreter that measures FIRST again.  [default: this one]")
@click.option("--second-python", metavar="PATH", help="Interpreter that measures SECOND again.  [default: this one]")
@click.option("--depth", type=click.IntRange(min=0),
              help=f"Levels of the module path in the table of two estimates.  [default: {DEPTH}]")  # fmt: skip
@options.reporter_option
def compare(
    first: Path, second: Path, fresh: bool, first_python: str | None, second_python: str | None, depth: int | None,
    reporter: Reporter,
) -> None:  # fmt: skip
    """Compare two profiles op call by op call, or two estimates module by module.

    FIRST and SECOND are two profiles: of two boards, of two torch versions, or from before and after a change. The
    ratio is the time in SECOND divided by the time in FIRST, with a 95 % interval. On one machine, the change of
    the machine itself is taken off, as control workloads in both profiles show it. The verdict is "same" if the op
    call is within 10 %, "faster" or "slower" if chance does not explain the difference, else "undecided". At most
    two in a hundred of the changes are due to chance. The reason stands beside each verdict.

    With --fresh the times in the profiles are not used. Five pairs of processes measure the op calls again, one process
    for each side, block by block in turn, each in its own environment. The profiles stay as they are.

    Or FIRST and SECOND are two estimates (FILE.json, from 'opclock estimate --json'), such as one network's in float32
    and in int8. The tables show which modules and operator classes take longer, and whether it is kernels, quantising
    and dequantising, or the host.
    """
    estimates = [path.suffix == ".json" for path in (first, second)]
    _check_options(first, second, any(estimates), fresh, (first_python, second_python), depth)
    if all(estimates):
        _compare_estimates(first, second, DEPTH if depth is None else depth, reporter)
    elif fresh:
        _measure_again(first, second, (first_python or sys.executable, second_python or sys.executable), reporter)
    else:
        _compare(first, second, reporter)


def _check_options(
    first: Path, second: Path, estimates: bool, fresh: bool, pythons: tuple[str | None, str | None], depth: int | None
) -> None:
    """Raise OptionError where the files or the options do not go together."""
    if estimates and not first.suffix == second.suffix == ".json":
        raise OptionError(f"{first} and {second}: give two profiles, or two estimates (.json)")
    if estimates and fresh:
        raise OptionError("--fresh: only op calls of profiles are measured again, not those of estimates")
    if depth is not None and not estimates:
        raise OptionError(f"--depth {depth}: only estimates are compared by module")
    for option, python in zip(("--first-python", "--second-python"), pythons, strict=True):
        if python is not None and not fresh:
            raise OptionError(f"{option} {python}: an interpreter only measures with --fresh")


def _compare_estimates(first: Path, second: Path, depth: int, reporter: Reporter) -> None:
    from opclock.estimation.estimate_comparison import EstimateComparison
    from opclock.estimation.estimate_file import read_estimate
    from opclock.report.estimate_comparison_tables import class_table, module_table, summary

    comparison = EstimateComparison(read_estimate(first), read_estimate(second), depth)
    reporter.json({"schema": ESTIMATES_SCHEMA, **comparison.to_json()})
    reporter.table(module_table(comparison))
    reporter.say("")
    reporter.table(class_table(comparison))
    reporter.say(summary(comparison))
    if comparison.first.setting != comparison.second.setting:
        reporter.say(f"note: the settings differ: {comparison.first.setting}, and {comparison.second.setting}")
    show_flags(reporter, [*comparison.first.flags, *comparison.second.flags])


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
