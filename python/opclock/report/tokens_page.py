"""Write the report folder of study C: a table, a figure, and a page that needs no other file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from opclock.files import write_json, write_whole
from opclock.flags import explained
from opclock.formatting import BYTES, SECONDS, digits
from opclock.generation.roles import HOST
from opclock.report.figures import save_figure
from opclock.report.plots import BLUE, GREY, ORANGE, RED, figure_with_axes
from opclock.report.table import Table, flagged_markdown, numbers, percents, ready, texts
from opclock.report.templates import render
from opclock.studies.tokens_results import BANDWIDTH, COMPUTE, KERNELS, SHARES, Tokens

COLOURS = {BANDWIDTH: BLUE, COMPUTE: RED, KERNELS: ORANGE, HOST: GREY}


def table(study: Tokens, title: str = "") -> Table:
    """One row for each model, type of weights and kind of cache."""
    frame = study.to_frame()
    if frame.empty:
        return Table([texts("model", [])], title)
    return Table([
        texts("model", list(frame["model"])),
        texts("weights", list(frame["weights"])),
        texts("cache", list(frame["cache"])),
        numbers("first token", list(frame["ttft_s"]), SECONDS),
        numbers("token", list(frame["tpot_s"]), SECONDS),
        ready("tokens/s", [digits(rate) for rate in frame["tokens_per_s"]]),
        texts("limit", list(frame["limit"])),
        texts("limit of prompt", list(frame["prompt_limit"]), 2),
        numbers("deepest", list(frame["deep_tpot_s"]), SECONDS, 2),
        *(percents(name, list(frame[f"{name}_share"]), 3) for name in SHARES),
        numbers("memory of weights", list(frame["weight_bytes"]), BYTES, 4),
        numbers("of the deepest cache", list(frame["cache_bytes"]), BYTES, 4),
        texts("flags", list(frame["flags"]), 1),
    ], title)  # fmt: skip


def write_page(study: Tokens, folder: Path) -> None:
    """Write the table (CSV, JSON, Markdown), the figure and index.html. Raises OptionError if it cannot."""
    readable = table(study)
    write_whole(folder / "tokens.csv", study.to_frame().to_csv(index=False).encode())
    write_json(folder / "tokens.json", study.to_json())
    write_whole(folder / "tokens.md", flagged_markdown(readable, study.flags).encode())
    images = {"where the time of a token goes": save_figure(_shares(study), folder, "shares")} if study.cases else {}
    page = render("tokens", board=study.board, threads=study.threads, words=study.words(), table=readable,
                  figures=images, flags=explained(study.flags))  # fmt: skip
    write_whole(folder / "index.html", page.encode())


def _shares(study: Tokens) -> Figure:
    """The time of a mean token of each case, by what limits it."""
    figure, axes = figure_with_axes(8.0, 1.0 + 0.3 * len(study.cases))
    names = [f"{case.model}, {case.weights}, {case.cache}" for case in study.cases]
    left = np.zeros(len(names))
    for share in SHARES:
        milliseconds = np.array([case.token.get(share, 0.0) * case.result.tpot_s * 1e3 for case in study.cases])
        if milliseconds.any():
            axes.barh(names, milliseconds, left=left, color=COLOURS[share], label=share)
        left += milliseconds
    axes.invert_yaxis()
    axes.set_xlabel("time of a token (ms)")
    axes.legend(frameon=False, loc="lower right")
    return figure
