"""opclock compare: two profiles, op call by op call."""

from __future__ import annotations

from pathlib import Path

import click
import pandas as pd

from opclock.cli import options
from opclock.cli.output import check_json, say, show_table, write_json
from opclock.tracing.op_call import OpCall

MAX_SHOWN = 40  # rows on a screen: those that differ most


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@options.json_option
def compare(first: Path, second: Path, json_to: str | None) -> None:
    """Compare what two profiles have in common: two boards, two torch versions, or before and after.

    ratio is SECOND / FIRST, with its 95 % interval; same is within 5 %, undecided where the interval does not say.
    """
    from opclock.profiles.comparison import compare as compared
    from opclock.profiles.profile import Profile

    check_json(json_to)
    with Profile.open(first) as one, Profile.open(second) as other:
        table = compared(one, other)
        boards = [profile.board()["identity"] for profile in (one, other)]
    if json_to:
        write_json(json_to, {"schema": "opclock.compare/1", "boards": boards, "rows": table.to_dict("records")})
    away = (table["ratio"] - 1).abs().sort_values(ascending=False).index[:MAX_SHOWN]
    show_table(_shown(table.loc[away]), f"first: {boards[0]}; second: {boards[1]}", json_to)
    counts = table["verdict"].value_counts()
    found = ", ".join(f"{counts.get(word, 0)} {word}" for word in ("same", "faster", "slower", "undecided"))
    say(f"{len(table)} op calls: {found}; median ratio {table['ratio'].median():.3f}", json_to)


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    import json

    names = [
        f"{family} {parameters}" if family else str(OpCall.from_json(json.loads(key)))
        for family, parameters, key in zip(table["family"], table["parameters"], table["op_call"], strict=True)
    ]
    return pd.DataFrame({
        "op call": [name if len(name) <= 100 else name[:97] + "..." for name in names],
        "threads": list(table["threads"]),
        "first (us)": [f"{value * 1e6:.2f}" for value in table["first_s"]],
        "second (us)": [f"{value * 1e6:.2f}" for value in table["second_s"]],
        "ratio": [f"{value:.3f}" for value in table["ratio"]],
        "interval": [f"[{low:.3f}, {high:.3f}]" for low, high in zip(table["low"], table["high"], strict=True)],
        "verdict": list(table["verdict"]),
    })  # fmt: skip
