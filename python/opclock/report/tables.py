"""DataFrames of validations: one row a model, one column a quantity, units in the names."""

from __future__ import annotations

import pandas as pd

from opclock.explain import Explanation
from opclock.macs import model_macs, model_macs_thop
from opclock.validate import BASELINES, Validation


def validation_table(validation: Validation) -> pd.DataFrame:
    """One row a model. Times in seconds, errors and shares as fractions."""
    rows = []
    for row in validation.rows:
        low, high = row.reference.interval_s
        rows.append({
            "model": row.trace.model,
            "params": row.trace.parameters,
            "macs": model_macs(row.trace),
            "macs_thop": model_macs_thop(row.trace),
            "op_calls": len(row.trace.calls),
            "reference_s": row.reference.median_s,
            "reference_low_s": low,
            "reference_high_s": high,
            "repeat_error": row.reference.repeat_error,
            "estimate_s": row.estimate.total_s,
            "estimate_low_s": row.estimate.ci_low_s,
            "estimate_high_s": row.estimate.ci_high_s,
            "error": row.error,
            **{f"{name}_error": row.baseline_error(name) for name in BASELINES},
            "gmacs_per_s": model_macs(row.trace) / row.reference.median_s / 1e9,
            "mac_share": row.estimate.mac_s / row.estimate.total_s,
            "non_mac_share": row.estimate.non_mac_s / row.estimate.total_s,
            "host_share": row.estimate.host_s / row.estimate.total_s,
            "measure_s": row.measure_s,
            "flags": " ".join(row.flags),
        })  # fmt: skip
    return pd.DataFrame(rows)


def class_table(validation: Validation) -> pd.DataFrame:
    """Estimated seconds by model (rows) and operator class (columns, the largest total first)."""
    table = pd.DataFrame({row.trace.model: row.estimate.by_class() for row in validation.rows}).T.fillna(0.0)
    return table[table.sum().sort_values(ascending=False).index]


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of validation_table that a person reads, with units a person reads: ms and %."""

    def percent(values: pd.Series) -> pd.Series:
        return values.map(lambda value: "" if pd.isna(value) else f"{value:+.1%}")

    return pd.DataFrame({
        "model": table["model"],
        "MACs (M)": (table["macs"] / 1e6).map("{:.0f}".format),
        "measured (ms)": (table["reference_s"] * 1e3).map("{:.2f}".format),
        "repeat": percent(table["repeat_error"]),
        "estimate (ms)": (table["estimate_s"] * 1e3).map("{:.2f}".format),
        "error": percent(table["error"]),
        "back-to-back": percent(table["back_to_back_error"]),
        "MAC kernels only": percent(table["mac_kernels_only_error"]),
        "roofline": percent(table["roofline_error"]),
        "MAC regression": percent(table["mac_regression_error"].astype(float)),
        "GMAC/s": table["gmacs_per_s"].map("{:.1f}".format),
        "flags": table["flags"],
    })  # fmt: skip


def explanation_table(explanation: Explanation) -> pd.DataFrame:
    """What a person reads of an explanation's classes, in ms."""

    def milliseconds(values: pd.Series, form: str) -> pd.Series:
        return (values * 1e3).map(lambda value: "" if pd.isna(value) else format(value, form))

    table = explanation.by_class()
    return pd.DataFrame({
        "class": table["class"],
        "estimate (ms)": milliseconds(table["estimate_s"], ".3f"),
        "in-order replay (ms)": milliseconds(table["replay_s"], ".3f"),
        "in the real model (ms)": milliseconds(table["observed_s"], ".3f"),
        "difference (ms)": milliseconds(table["difference_s"], "+.3f"),
    })  # fmt: skip


def explanation_text(explanation: Explanation) -> str:
    """The three parts of the error in one line, and the host by difference."""
    return (
        f"estimate - measured = {explanation.residual_s * 1e3:+.3f} ms: kernels' condition "
        f"{explanation.condition_s * 1e3:+.3f}, host {explanation.host_s * 1e3:+.3f}, left "
        f"{explanation.left_s * 1e3:+.3f}. The replay takes {explanation.replay_s * 1e3:.3f} ms, which leaves the host "
        f"{explanation.host_by_replay_s * 1e3:.3f} (played {explanation.estimate.host_s * 1e3:.3f})"
    )
