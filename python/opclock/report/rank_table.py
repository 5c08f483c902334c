"""The table of ranked candidates."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from opclock.formatting import COUNT, SECONDS
from opclock.report.table import Table, numbers, percents, ready, texts

if TYPE_CHECKING:
    from opclock.ranking.rows import Row


def table(ranked: Sequence[tuple[int, Row]], front: Collection[str], column: str | None) -> Table:
    """The candidates with their place, the fastest first.

    Args:
        ranked: place and row.
        front: names of the candidates on the Pareto front.
        column: of the Pareto front; None where it was not asked for.

    Returns:
        The table; "*" marks the front. Its title has the setting, or all of them where they differ.
    """
    rows = [row for _, row in ranked]
    own = list(dict.fromkeys(name for row in rows for name in row.columns))

    def priority(name: str, others: int) -> int:
        return 0 if name == column else others

    marks = [] if column is None else [texts("front", ["*" if row.candidate in front else "" for row in rows])]
    title = " and ".join(sorted({row.setting for row in rows}))
    return Table([
        ready("", [str(place) for place, _ in ranked]),
        texts("candidate", [row.candidate for row in rows]),
        numbers("time", [row.total_s for row in rows], SECONDS),
        numbers("low", [row.ci_low_s for row in rows], SECONDS, 1),
        numbers("high", [row.ci_high_s for row in rows], SECONDS, 1),
        numbers("MACs", [row.macs for row in rows], COUNT, priority("macs", 3)),
        numbers("parameters", [row.parameters for row in rows], COUNT, priority("parameters", 4)),
        *(ready(name, [_cell(row.columns.get(name, "")) for row in rows], priority(name, 2)) for name in own),
        *marks,
        percents("share measured", [row.measured for row in rows], 5),
    ], title)  # fmt: skip


def _cell(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
