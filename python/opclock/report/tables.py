"""DataFrames of validations: one row a model, one column a quantity, units in the names."""

from __future__ import annotations

import pandas as pd

from opclock.validation.attribution import Explanation


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
