"""The table of vendors' benchmarks and opclock's timing."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from opclock.formatting import SECONDS, percent
from opclock.report.table import Table, numbers, percents, ready, texts

if TYPE_CHECKING:
    from opclock.benchmarking.vendor_tools import CrossCheck


def table(checks: Sequence[CrossCheck], title: str) -> Table:
    """One row for each vendor's command."""
    return Table([
        texts("command", [check.command for check in checks]),
        texts("runtime", [check.runtime for check in checks], priority=1),
        numbers("opclock", [median(check.ours_s) for check in checks], SECONDS),
        numbers("vendor", [median(check.theirs_s) for check in checks], SECONDS),
        percents("deviation", [check.deviation for check in checks], signed=True),
        ready("opclock's spread", [f"±{percent(check.spread[0])}" for check in checks], priority=2),
        ready("vendor's spread", [f"±{percent(check.spread[1])}" for check in checks], priority=2),
    ], title)  # fmt: skip
