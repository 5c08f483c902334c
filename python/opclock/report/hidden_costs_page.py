"""Write the report folder of study A: tables, figures, and a page that needs no other file."""

from __future__ import annotations

from pathlib import Path

from opclock.files import write_json, write_whole
from opclock.flags import explained, joined
from opclock.report.figures import save_figure
from opclock.report.plots import FIGURES
from opclock.report.table import flagged_markdown
from opclock.report.templates import render
from opclock.report.validation_tables import table
from opclock.studies.hidden_costs_results import HiddenCosts


def write_report(study: HiddenCosts, folder: Path) -> None:
    """Write tables (CSV, JSON, Markdown), figures (PNG, SVG) and index.html. Raises OptionError if it cannot."""
    readable, flags = table(study.table), joined(study.table["flags"])
    write_whole(folder / "hidden-costs.csv", study.table.to_csv(index=False).encode())
    write_json(folder / "hidden-costs.json", study.to_json())
    write_whole(folder / "hidden-costs.md", flagged_markdown(readable, flags).encode())
    write_whole(folder / "by-class.csv", study.classes.to_csv(index_label="model").encode())
    images = {name.replace("_", " "): save_figure(draw(study), folder, name) for name, draw in FIGURES.items()}
    page = render("hidden-costs", board=study.validation.board, threads=study.validation.rows[0].threads,
                  words=study.words(), figures=images, table=readable, inversions=study.inversions,
                  flags=explained(flags))  # fmt: skip
    write_whole(folder / "index.html", page.encode())
