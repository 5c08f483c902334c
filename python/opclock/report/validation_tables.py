"""Tables of validations and explanations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opclock.formatting import COUNT, MACS_PER_SECOND, SECONDS, percent, quantity
from opclock.report.table import Column, Table, numbers, percents, texts

if TYPE_CHECKING:
    import pandas as pd

    from opclock.validation.attribution import Explanation


def table(frame: pd.DataFrame, title: str = "") -> Table:
    """The table of a validation, one row for each model."""

    def error(name: str, column: str, priority: int) -> Column:
        return percents(name, list(frame[column].astype(float)), priority, signed=True)

    return Table([
        texts("model", list(frame["model"])),
        numbers("MACs", list(frame["macs"]), COUNT, 2),
        numbers("measured", list(frame["reference_s"]), SECONDS),
        error("repeat", "repeat_error", 1),
        numbers("estimate", list(frame["estimate_s"]), SECONDS),
        error("error", "error", 0),
        error("back-to-back", "back_to_back_error", 3),
        error("MAC kernels only", "mac_kernels_only_error", 4),
        error("roofline", "roofline_error", 5),
        error("MAC regression", "mac_regression_error", 4),
        numbers("rate", [rate * 1e9 for rate in frame["gmacs_per_s"]], MACS_PER_SECOND, 5),
        texts("flags", list(frame["flags"]), 1),
    ], title)  # fmt: skip


def summary_sentence(summary: dict[str, Any]) -> str:
    """Summarise the errors of the models whose times are reliable in one line, and name the others."""
    count, names = summary["models"], ", ".join(summary["left_out"])
    if not count:
        return f"no mean error: the times of no model are reliable ({names})"
    baseline = summary["baselines"]["back_to_back"]["mape"]
    left_out = (
        f"; left out, as not reliable: {len(summary['left_out'])} of {count + len(summary['left_out'])} ({names})"
    )
    return (
        f"mean error {percent(summary['mape'])} (worst {percent(summary['max_abs_error'])}), repeatability "
        f"{percent(summary['repeat_mape'])}; back-to-back {percent(baseline)}"
        + (f"; as a graph {percent(summary['graph']['mape'])}" if "graph" in summary else "")
        + (left_out if names else "")
    )


def explanation_table(explanation: Explanation) -> Table:
    """The estimated and observed time of each operator class."""
    frame = explanation.by_class()
    return Table([
        texts("class", list(frame["class"])),
        numbers("estimate", list(frame["estimate_s"]), SECONDS),
        numbers("in-order replay", list(frame["replay_s"]), SECONDS, 1),
        numbers("in the real model", list(frame["observed_s"]), SECONDS),
        numbers("difference", list(frame["difference_s"]), SECONDS, signed=True),
    ], explanation.trace.model)  # fmt: skip


def explanation_sentence(explanation: Explanation) -> str:
    """The three parts of the error, and the host's time by difference, in one line."""

    def difference(seconds: float) -> str:
        return quantity(seconds, SECONDS, signed=True)

    return (
        f"estimate - measured = {difference(explanation.residual_s)}: kernels' condition "
        f"{difference(explanation.condition_s)}, host {difference(explanation.host_s)}, left "
        f"{difference(explanation.left_s)}. The replay takes {quantity(explanation.replay_s, SECONDS)}, which leaves "
        f"the host {quantity(explanation.host_by_replay_s, SECONDS)} "
        f"(played {quantity(explanation.estimate.host_s, SECONDS)})"
    )
