"""opclock doctor: can this board be measured well?"""

from __future__ import annotations

import sys

import click
import pandas as pd

from opclock.cli import options
from opclock.cli.output import check_json, say, show_table, write_json

MARKS = {"ok": "ok", "warning": "WARNING", "trouble": "TROUBLE"}


@click.command()
@options.json_option
def doctor(json_to: str | None) -> None:
    """Say in seconds whether this board can be measured well, and for every trouble what mends it.

    Exits with 1 where something must be mended first.
    """
    from opclock.doctor import diagnose

    check_json(json_to)
    checks = diagnose()
    if json_to:
        write_json(json_to, {"schema": "opclock.doctor/1", "checks": [vars(check) for check in checks]})
    rows = [(check.name, MARKS[check.status], check.finding) for check in checks]
    show_table(pd.DataFrame(rows, columns=["check", "", "finding"]), "", json_to)
    for check in checks:
        if check.remedy:
            say(f"to mend {check.name}: {check.remedy}", json_to)
    if any(check.status == "trouble" for check in checks):
        sys.exit(1)
