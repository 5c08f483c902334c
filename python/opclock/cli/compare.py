"""opclock compare: the times of the same op calls in two profiles."""

from __future__ import annotations

from pathlib import Path

import click

from opclock.cli import options
from opclock.cli.reporting import Reporter


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@options.reporter_option
def compare(first: Path, second: Path, reporter: Reporter) -> None:
    """Compare the op calls that two profiles share: two boards, two torch versions, or before and after a change.

    The ratio is the time in SECOND divided by the time in FIRST, with a 95 % interval. On one machine, the change of
    the machine itself is taken off, as control workloads in both profiles show it. The verdict is "same" if the op
    call is within 5 %, "faster" or "slower" if chance does not explain the difference, else "undecided". At most
    one in a hundred of the changes is due to chance. The reason stands beside each verdict.
    """
    from opclock.profiles.comparison import compare as compared
    from opclock.profiles.profile import Profile
    from opclock.report.comparison_table import counts, table

    with Profile.open(first) as one, Profile.open(second) as other:
        frame = compared(one, other)
        boards = [profile.board()["identity"] for profile in (one, other)]
    reporter.json({"schema": "opclock.compare/1", "boards": boards, "rows": frame.to_dict("records")})
    reporter.table(table(frame, f"first: {boards[0]}; second: {boards[1]}"))
    reporter.say(counts(frame))
