"""opclock doctor: can this board be measured well?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from opclock.cli import options
from opclock.report.table import Table, texts

if TYPE_CHECKING:
    from opclock.cli.reporting import Reporter
    from opclock.doctor import Check

STATUS_WORDS = {"ok": "ok", "warning": "WARNING", "trouble": "TROUBLE"}


@click.command()
@options.reporter_option
def doctor(reporter: Reporter) -> None:
    """Check in seconds whether this board can be measured well, and name the remedy for each problem.

    The exit code is 1 if a problem must be repaired first.
    """
    from opclock.cli.reporting import waiting
    from opclock.doctor import diagnose, identified

    with waiting("checking the board, torch and the runtimes"):
        checks = diagnose()
        board = identified(checks)
    report(checks, reporter, board)
    if any(check.status == "trouble" for check in checks):
        sys.exit(1)


def report(checks: list[Check], reporter: Reporter, board: dict[str, Any] | None = None) -> None:
    """Print a table of all checks, then the remedy for each check that is not ok."""
    reporter.json({"schema": "opclock.doctor/1", "board": board, "checks": [vars(check) for check in checks]})
    reporter.table(Table([
        texts("check", [check.name for check in checks]),
        texts("status", [STATUS_WORDS[check.status] for check in checks]),
        texts("finding", [check.finding for check in checks]),
    ]))  # fmt: skip
    for check in checks:
        if check.remedy:
            reporter.say(f"remedy for {check.name}:")
            reporter.command(check.remedy)
    reporter.say(_verdict(checks))


def _verdict(checks: list[Check]) -> str:
    """Say in one line whether this board can be measured well."""
    counts = {status: sum(check.status == status for check in checks) for status in STATUS_WORDS}
    if counts["trouble"]:
        return f"{counts['trouble']} of {len(checks)} checks found trouble: repair it before measuring"
    if counts["warning"]:
        return f"this board can be measured; {counts['warning']} of {len(checks)} checks may make its times less steady"
    return f"this board can be measured well: all {len(checks)} checks are ok"
