"""What runtimes tell of their operators' times in a bench, and which operators no delegate ran."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from opclock.formatting import COUNT, SECONDS, counted, percent
from opclock.report.table import Table, numbers, percents, texts

if TYPE_CHECKING:
    from opclock.benchmarking.result import BenchRow

MAX_KINDS = 8  # of a runtime's operators in the table
MAX_NAMED = 6  # operators that fell out of a delegate, in a sentence
REST, HOST = "others", "in no operator"
DELEGATED = {True: "yes", False: "no", None: ""}


def operator_frame(row: BenchRow) -> pd.DataFrame:
    """One row for each kind of operator, the longest first, and one for the time that no operator covers.

    Args:
        row: with operators.

    Returns:
        Columns kind, delegated, is_mac, calls, seconds, and share of the inference. Reporting makes an inference
        longer: where the operators take longer than the one that was timed, shares are of their sum.
    """
    frame = pd.DataFrame([vars(operator) for operator in row.operators]).assign(calls=1)
    grouped = frame.groupby(["kind", "delegated", "is_mac"], dropna=False, sort=False)[["calls", "seconds"]].sum()
    kinds = grouped.reset_index().sort_values("seconds", ascending=False, kind="stable")
    rest_s = max(0.0, row.median_s - kinds["seconds"].sum())
    host = pd.DataFrame([{"kind": HOST, "delegated": None, "is_mac": False, "calls": 0, "seconds": rest_s}])
    table = pd.concat([kinds.astype(object), host.astype(object)], ignore_index=True)
    return table.assign(share=table["seconds"] / table["seconds"].sum())


def table(rows: Sequence[BenchRow]) -> Table:
    """The operators of the rows that have some: by kind, the longest first, and what no operator covers."""
    parts = []
    for row in rows:
        if row.operators:
            frame = operator_frame(row)
            kinds, host = frame[:-1], frame[-1:]
            others = kinds[MAX_KINDS:]
            folded = pd.DataFrame([{"kind": REST, "delegated": None, "is_mac": False,
                                    **others[["calls", "seconds", "share"]].sum()}])  # fmt: skip
            parts.append(pd.concat([kinds[:MAX_KINDS], *([folded] if len(others) else []), host]).assign(
                runtime=row.runtime))  # fmt: skip
    shown = pd.concat(parts, ignore_index=True)
    delegated = [DELEGATED.get(None if pd.isna(value) else bool(value), "") for value in shown["delegated"]]
    return Table([
        texts("runtime", list(shown["runtime"])),
        texts("operator", list(shown["kind"])),
        texts("MACs", ["yes" if is_mac else "" for is_mac in shown["is_mac"]], 2),
        texts("delegated", delegated, 3),
        numbers("calls", [calls or None for calls in shown["calls"]], COUNT, 1),
        numbers("time", list(shown["seconds"]), SECONDS),
        percents("share", list(shown["share"])),
    ], "operators, in a run of its own")  # fmt: skip


def fallback_sentence(row: BenchRow) -> str:
    """Which operators the runtime's delegate did not run, by name; "" where it ran all, or where there is none."""
    fallbacks = row.fallbacks
    if not fallbacks:
        return ""
    total_s = sum(operator.seconds for operator in row.operators)
    share = sum(operator.seconds for operator in fallbacks) / total_s if total_s else 0.0
    named = [f"{operator.kind} ({operator.name})" for operator in fallbacks[:MAX_NAMED]]
    more = [f"{len(fallbacks) - MAX_NAMED} more"] if len(fallbacks) > MAX_NAMED else []
    return (f"{row.runtime}: its delegate left {len(fallbacks)} of {counted(len(row.operators), 'operator')} to the "
            f"runtime, {percent(share)} of their time: {', '.join([*named, *more])}")  # fmt: skip


def untold_sentence(row: BenchRow) -> str:
    """That a runtime reports no operator times; "" where it does or where it failed."""
    if row.status != "ok" or row.operators:
        return ""
    instead = ": 'opclock estimate' estimates them" if row.runtime == "eager" else ""
    return f"{row.runtime}: no operator times{instead}"
