"""The tables of a comparison of two estimates."""

from __future__ import annotations

from opclock.estimation.estimate_comparison import EstimateComparison
from opclock.formatting import SECONDS, percent, quantity
from opclock.report.table import Table, numbers, texts

MAX_SHOWN = 40  # rows in the table of modules: those that differ most


def module_table(comparison: EstimateComparison) -> Table:
    """Each module's time in both models, and what its change is made of. Those that differ most, and the sum of all."""
    most = sorted(comparison.modules, key=lambda row: -abs(row.change.total_s))[:MAX_SHOWN]
    rows = [*(row for row in comparison.modules if row in most), comparison.whole]
    return Table([
        texts("module", [*(row.module or "(model)" for row in rows[:-1]), "all"]),
        numbers("first", [row.first.total_s or None for row in rows], SECONDS, priority=1),
        numbers("second", [row.second.total_s or None for row in rows], SECONDS, priority=1),
        numbers("change", [row.change.total_s for row in rows], SECONDS, signed=True),
        numbers("kernels", [row.change.kernels_s for row in rows], SECONDS, signed=True),
        *([numbers("quantisation", [row.change.quantisation_s for row in rows], SECONDS, signed=True)]
          if comparison.quantises else []),
        numbers("host", [row.change.host_s for row in rows], SECONDS, signed=True),
    ], _title(comparison))  # fmt: skip


def class_table(comparison: EstimateComparison) -> Table:
    """The time of each operator class in both models, the largest change first."""
    first, second = comparison.first.by_class(), comparison.second.by_class()
    change = {name: second.get(name, 0.0) - first.get(name, 0.0) for name in (*first, *second)}
    names = sorted(change, key=lambda name: -change[name])
    return Table([
        texts("operator class", names),
        numbers("first", [first.get(name) for name in names], SECONDS),
        numbers("second", [second.get(name) for name in names], SECONDS),
        numbers("change", [change[name] for name in names], SECONDS, signed=True),
    ])  # fmt: skip


def _title(comparison: EstimateComparison) -> str:
    hidden = len(comparison.modules) > MAX_SHOWN
    shown = f"; the {MAX_SHOWN} modules that differ most are shown" if hidden else ""
    first, second = comparison.first, comparison.second
    return f"first: {first.model}, {first.setting}; second: {second.model}, {second.setting}{shown}"


def summary(comparison: EstimateComparison) -> str:
    """Both latencies, the change with its interval, what it is made of, and the verdict in one sentence."""
    first, second, change = comparison.first, comparison.second, comparison.whole.change
    low, high = (quantity(value, SECONDS, signed=True) for value in comparison.interval_s)
    parts = ", ".join(
        f"{name} {quantity(value, SECONDS, signed=True)}"
        for name, value in (("kernels", change.kernels_s), ("quantising and dequantising", change.quantisation_s),
                            ("host", change.host_s))
        if name != "quantising and dequantising" or comparison.quantises
    )  # fmt: skip
    share = percent(comparison.change_s / first.total_s if first.total_s else None, signed=True)
    reason = f" ({', '.join(comparison.doubts)})" if comparison.doubts else ""
    return (
        f"first {quantity(first.total_s, SECONDS)}, second {quantity(second.total_s, SECONDS)}: "
        f"{quantity(comparison.change_s, SECONDS, signed=True)} [{low}, {high}], {share}; {parts}; "
        f"verdict: {comparison.verdict}{reason}"
    )
