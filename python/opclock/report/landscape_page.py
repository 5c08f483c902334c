"""Write the report folder of study B: tables, figures, and a page that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from opclock.files import write_json, write_whole
from opclock.flags import explained
from opclock.report import landscape_tables as tables
from opclock.report.figures import save_figure
from opclock.report.landscape import SHARE, Relative, batch_table, latency_table, relative_speedups, words
from opclock.report.landscape_plots import FIGURES, board_speedups
from opclock.report.table import flagged_markdown
from opclock.report.templates import render
from opclock.studies.landscape_results import Landscape


def write_page(boards: Sequence[Landscape], folder: Path) -> None:
    """Write tables (CSV, JSON, Markdown), figures (PNG, SVG) and index.html. Raises OptionError if it cannot."""
    speedups = relative_speedups(boards)
    _write_tables(boards, speedups, folder)
    drawings = {**FIGURES, **({"board_speedups": board_speedups} if speedups else {})}
    images = {name.replace("_", " "): save_figure(draw(boards), folder, name) for name, draw in drawings.items()}
    page = render("landscape", boards=boards, relative=tables.relative(speedups), figures=images,
                  sections=[_section(board) for board in boards], share=f"{SHARE * 100:.0f} %")  # fmt: skip
    write_whole(folder / "index.html", page.encode())


def _write_tables(boards: Sequence[Landscape], speedups: Sequence[Relative], folder: Path) -> None:
    frames = {
        "latency.csv": pd.concat([latency_table(board) for board in boards]),
        "batches.csv": pd.concat([batch_table(board).assign(board=board.label) for board in boards]),
        **({"boards.csv": pd.DataFrame([vars(speedup) for speedup in speedups])} if speedups else {}),
    }
    for name, frame in frames.items():
        write_whole(folder / name, frame.to_csv(index=False).encode())
    data = {"boards": [board.label for board in boards], "words": {board.label: words(board) for board in boards},
            "relative": [vars(speedup) for speedup in speedups]}  # fmt: skip
    write_json(folder / "findings.json", data)
    text = "\n".join(flagged_markdown(tables.latencies(board), board.flags) for board in boards)
    write_whole(folder / "latency.md", text.encode())


def _section(board: Landscape) -> dict[str, object]:
    return {
        "label": board.label, "words": words(board), "latencies": tables.latencies(board),
        "runtimes": tables.runtimes(board), "non_mac": tables.non_mac(board),
        "smallest_batches": tables.smallest_batches(board), "post": tables.post_processing(board),
        "failures": tables.without_number(board), "flags": explained(board.flags),
    }  # fmt: skip
