"""Write the report folder of study C: a table, and a page that needs no other file."""

from __future__ import annotations

from pathlib import Path

from opclock.files import write_json, write_whole
from opclock.flags import explained
from opclock.formatting import BYTES, SECONDS, digits
from opclock.report.table import Table, flagged_markdown, numbers, percents, ready, texts
from opclock.report.templates import render
from opclock.studies.tokens_results import SHARES, Tokens


def table(study: Tokens, title: str = "") -> Table:
    """One row for each model, type of weights and kind of cache."""
    frame = study.to_frame()
    return Table([
        texts("model", list(frame["model"])),
        texts("weights", list(frame["weights"])),
        texts("cache", list(frame["cache"])),
        numbers("first token", list(frame["ttft_s"]), SECONDS),
        numbers("token", list(frame["tpot_s"]), SECONDS),
        ready("tokens/s", [digits(rate) for rate in frame["tokens_per_s"]]),
        texts("limit", list(frame["limit"])),
        numbers("deepest", list(frame["deep_tpot_s"]), SECONDS, 2),
        *(percents(name, list(frame[f"{name}_share"]), 3) for name in SHARES),
        numbers("memory of weights", list(frame["weight_bytes"]), BYTES, 4),
        numbers("of the deepest cache", list(frame["cache_bytes"]), BYTES, 4),
        texts("flags", list(frame["flags"]), 1),
    ], title)  # fmt: skip


def write_page(study: Tokens, folder: Path) -> None:
    """Write the table (CSV, JSON, Markdown) and index.html. Raises OptionError if it cannot."""
    readable = table(study)
    write_whole(folder / "tokens.csv", study.to_frame().to_csv(index=False).encode())
    write_json(folder / "tokens.json", study.to_json())
    write_whole(folder / "tokens.md", flagged_markdown(readable, study.flags).encode())
    page = render("tokens", board=study.board, threads=study.threads, words=study.words(), table=readable,
                  flags=explained(study.flags))  # fmt: skip
    write_whole(folder / "index.html", page.encode())
