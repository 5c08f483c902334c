"""Tables of a sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opclock.formatting import BYTES_PER_SECOND, COUNT, MACS_PER_SECOND, SECONDS, percent
from opclock.report.table import Table, numbers, percents, ready, texts

if TYPE_CHECKING:
    import pandas as pd

MAX_SHOWN = 100  # rows in the table; if there are more, one row for each family
# The columns of sweep_table that are not parameters.
MEASURES = ("family", "median_s", "low_s", "high_s", "mad_s", "samples", "macs", "bytes", "gmacs_per_s", "gb_per_s",
            "ceiling_share", "timing", "working_set", "calls_per_sample", "pool", "validity", "flags")  # fmt: skip


def table(frame: pd.DataFrame) -> Table:
    """One row for each configuration, or for each family if there are more than MAX_SHOWN configurations."""
    return _by_configuration(frame) if len(frame) <= MAX_SHOWN else _by_family(frame)


def _by_configuration(frame: pd.DataFrame) -> Table:
    """Columns: the parameters that vary, then the measurements."""
    parameters = [name for name in frame if name not in MEASURES and frame[name].nunique(dropna=False) > 1]
    reach = (frame["high_s"] - frame["low_s"]) / 2 / frame["median_s"]
    return Table([
        *(texts(str(name), list(frame[name])) for name in parameters or ["family"]),
        numbers("median", list(frame["median_s"]), SECONDS),
        ready("±", [percent(value) for value in reach], 2),
        numbers("rate", [rate * 1e9 for rate in frame["gmacs_per_s"]], MACS_PER_SECOND, 1),
        numbers("bandwidth", [rate * 1e9 for rate in frame["gb_per_s"]], BYTES_PER_SECOND, 1),
        percents("of ceiling", list(frame["ceiling_share"]), 3),
        texts("validity", list(frame["validity"])),
    ])  # fmt: skip


def _by_family(frame: pd.DataFrame) -> Table:
    groups = frame.groupby("family")
    valid = groups["validity"].agg(lambda marks: (marks == "valid").mean())
    return Table([
        texts("family", list(groups.groups)),
        numbers("kernels", list(groups.size()), COUNT),
        numbers("median", list(groups["median_s"].median()), SECONDS),
        numbers("best rate", [rate * 1e9 for rate in groups["gmacs_per_s"].max()], MACS_PER_SECOND),
        numbers("best bandwidth", [rate * 1e9 for rate in groups["gb_per_s"].max()], BYTES_PER_SECOND, 1),
        percents("median of ceiling", list(groups["ceiling_share"].median()), 3),
        percents("best of ceiling", list(groups["ceiling_share"].max()), 2),
        percents("valid", list(valid)),
    ])  # fmt: skip
