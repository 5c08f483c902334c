"""The corpus's results as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from benchmarks.corpus.examining import NOT_BUILT, NOTED, OUTCOMES, SAME, Row


def is_right(row: Row) -> bool:
    """Whether the trace is the program that runs, and a model that was built can be played."""
    return row["outcome"] == NOT_BUILT or (row["outcome"] in (SAME, NOTED) and row["played"] == "yes")


def line(row: Row) -> str:
    """One row in words."""
    if "error" in row:
        return f"{row['error']:+.1%} (repeat {row['repeat']:+.1%}) {row['flags']}"
    played = row.get("played", "yes")
    return f"{row['outcome']} {row.get('why') or ''}" + ("" if played == "yes" else f" NOT PLAYED: {played}")


def by_kind(rows: Sequence[Row]) -> str:
    """How many models of each kind there are of each outcome, and how many of those built are right and played."""
    table = pd.DataFrame({"kind": [row["kind"] for row in rows], "outcome": [row["outcome"] for row in rows]})
    counts = pd.crosstab(table["kind"], table["outcome"]).reindex(columns=list(OUTCOMES), fill_value=0)
    counts.insert(0, "built", counts.drop(columns=NOT_BUILT).sum(axis=1))
    played = [row["kind"] for row in rows if row.get("played") == "yes"]
    counts.insert(1, "played", pd.Series(played, dtype=str).value_counts().reindex(counts.index, fill_value=0))
    counts.loc["all"] = counts.sum()
    return str(counts.to_markdown())


def of_validations(rows: Sequence[Row]) -> str:
    """Each validated model, and the mean error of each kind beside the repeat's."""
    failed = [f"{row['kind']}:{row['name']}: {row['why']}" for row in rows if "error" not in row]
    table = pd.DataFrame([row for row in rows if "error" in row])
    if table.empty:
        return "\n".join(failed)
    shown = table.assign(**{name: table[name].map("{:+.1%}".format) for name in ("error", "repeat")})
    sizes = table.assign(error=table["error"].abs(), repeat=table["repeat"].abs())
    means = pd.concat([sizes, sizes.assign(kind="all")]).groupby("kind", sort=False)[["error", "repeat"]]
    summary = means.agg(["mean", "max"]).map("{:.1%}".format)
    summary.columns = ["mean error", "largest error", "mean repeat", "largest repeat"]
    columns = ["kind", "name", "op_calls", "reference_ms", "error", "repeat", "interval", "flags"]
    parts = [shown[columns].to_markdown(index=False, floatfmt=".2f"), summary.to_markdown(), *failed]
    return "\n\n".join(map(str, parts))
