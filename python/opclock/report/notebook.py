"""Results as a notebook shows them: short HTML that needs nothing else, with every text escaped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from opclock.flags import explained, joined
from opclock.formatting import counted
from opclock.report import bench_table, estimate_tables, sweep_tables, trace_table, validation_tables
from opclock.report.table import Table
from opclock.report.templates import render

if TYPE_CHECKING:
    from opclock.benchmarking.bench import Bench
    from opclock.estimation.result import Estimate
    from opclock.sweeps.results import SweepFrame
    from opclock.tracing.trace import Trace
    from opclock.validation.results import Validation

MAX_ROWS = 12  # of one table
WIDTH = 120  # characters, as on a wide terminal; columns that matter less are left out


@dataclass(frozen=True)
class Shown:
    """Sentences, tables beside each other, and flags."""

    sentences: Sequence[str]
    tables: Sequence[Table]
    flags: Sequence[str] = ()


def html(result: object) -> str:
    """HTML of a trace, an estimate, a validation, a bench or a sweep's frame.

    Args:
        result: one of these.

    Returns:
        One element with its own style.
    """
    shown = SHOWN[type(result).__name__](result)
    tables = [(_cut(table), max(0, len(table.rows()) - MAX_ROWS)) for table in shown.tables]
    return render("notebook", sentences=shown.sentences, tables=tables, flags=explained(shown.flags))


def _cut(table: Table) -> Table:
    """The columns that fit, and the first rows."""
    kept, _ = table.shown(WIDTH)
    return Table([replace(column, cells=column.cells[:MAX_ROWS]) for column in kept], table.title)


def _trace(trace: Trace) -> Shown:
    return Shown([trace_table.summary(trace), *([trace.note] if trace.note else [])], [trace_table.table(trace)])


def _estimate(estimate: Estimate) -> Shown:
    by_class, by_module = estimate.by_class(), estimate.by_module(depth=1)
    lanes = [] if estimate.lanes is None else [estimate_tables.device_sentence(estimate.lanes)]
    tables = [
        estimate_tables.share_table(name, seconds, estimate.total_s)
        for name, seconds in (("operator class", by_class), ("module", by_module))
    ]
    return Shown([estimate_tables.summary(estimate), *lanes], tables, estimate.flags)


def _validation(validation: Validation) -> Shown:
    from opclock.validation.results import validation_table

    frame = validation_table(validation)
    title = f"{validation.board['identity']}, {counted(validation.rows[0].threads, 'thread')}"
    sentence = validation_tables.summary_sentence(validation.summary())
    return Shown([title, sentence], [validation_tables.table(frame)], sorted(joined(frame["flags"])))


def _bench(bench: Bench) -> Shown:
    frame = bench.to_frame()
    title = f"{bench.model}, {bench.settings.precision}, {counted(bench.settings.threads, 'thread')}"
    sentences = [f"{title}: {bench.board['identity']}", *([bench.note] if bench.note else [])]
    flags = [flag for row in bench.rows for flag in row.flags]
    return Shown([*sentences, *bench_table.failures(frame)], [bench_table.table(frame, "")], flags)


def _sweep(frame: SweepFrame) -> Shown:
    return Shown([], [sweep_tables.table(frame)], sorted(joined(frame["flags"])))


# By the name of the class: not all of them can be imported everywhere.
SHOWN: dict[str, Callable[[Any], Shown]] = {
    "Trace": _trace,
    "Estimate": _estimate,
    "Validation": _validation,
    "Bench": _bench,
    "SweepFrame": _sweep,
}
