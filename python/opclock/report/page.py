"""Writes a study's folder: tables, figures, and one page that needs no other file."""

from __future__ import annotations

import json
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from opclock.files import write_whole
from opclock.report.figures import STYLE, save_figure
from opclock.report.plots import FIGURES
from opclock.report.tables import shown
from opclock.studies.hidden_costs_results import HiddenCosts

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Hidden costs on {{ board.model }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{{ style }}</style></head><body>
<h1>Hidden costs</h1>
<p class="board">{{ board.identity }} · {{ threads }} threads · opclock {{ board.opclock }} ({{ board.commit }})</p>
<ul>{% for sentence in words %}<li>{{ sentence }}</li>{% endfor %}</ul>
{% for name, image in figures.items() %}<img alt="{{ name }}" src="data:image/png;base64,{{ image }}">{% endfor %}
<h2>The models</h2><div class="wide">{{ table }}</div>
<p>Errors are estimate / measured - 1. "repeat" is the same for measuring the model a second time in the same rounds:
no estimate can be better than that. MAC regression is leave-one-out.</p>
{% if inversions %}<h2>Fewer MACs, more time</h2><ul>{% for pair in inversions %}
<li>{{ pair.fewer_macs }} has {{ "%.2f"|format(pair.macs_ratio) }} times the MACs of {{ pair.more_macs }} and takes
{{ "%.2f"|format(pair.time_ratio) }} times as long.</li>{% endfor %}</ul>{% endif %}
</body></html>
"""


def write_report(study: HiddenCosts, folder: Path) -> None:
    """Write tables (CSV, JSON, Markdown), figures (PNG, SVG) and index.html. Raises OptionError where it cannot."""
    readable = shown(study.table)
    write_whole(folder / "hidden-costs.csv", study.table.to_csv(index=False).encode())
    write_whole(folder / "hidden-costs.json", (json.dumps(study.to_json(), indent=2) + "\n").encode())
    write_whole(folder / "hidden-costs.md", (readable.to_markdown(index=False) + "\n").encode())
    write_whole(folder / "by-class.csv", study.classes.to_csv(index_label="model").encode())
    images = {name.replace("_", " "): save_figure(draw(study), folder, name) for name, draw in FIGURES.items()}
    page = (
        Environment(autoescape=True)
        .from_string(PAGE)
        .render(
            style=Markup(STYLE),
            board=study.validation.board,
            threads=study.validation.rows[0].threads,
            words=study.words(),
            figures=images,
            table=Markup(readable.to_html(index=False, border=0)),
            inversions=study.inversions,
        )
    )
    write_whole(folder / "index.html", page.encode())
