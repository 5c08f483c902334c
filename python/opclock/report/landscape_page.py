"""Writes study B's folder: tables, figures, and one page that needs no other file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from jinja2 import Environment
from markupsafe import Markup

from opclock.files import write_whole
from opclock.report import landscape_tables as tables
from opclock.report.figures import STYLE, save_figure
from opclock.report.landscape import SHARE, batch_table, failures, latency_table, relative_speedups, words
from opclock.report.landscape_plots import FIGURES, board_speedups
from opclock.studies.landscape_results import Landscape

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Performance landscape</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{{ style }}</style></head><body>
<h1>Performance landscape</h1>
{% for board in boards %}<p class="board">{{ board.label }} · {{ board.board.identity }} · {{ board.settings.threads }}
threads, {{ board.settings.precision }} · opclock {{ board.board.opclock }}
({{ board.board.commit }})</p>{% endfor %}
{% if relative %}<h2>Boards side by side</h2><p>How many times faster than {{ boards[0].label }}: geometric mean over
the models that both ran, with the interval that follows from those of the medians.</p>
<div class="wide">{{ relative }}</div>{% endif %}
{% for board in sections %}<h2>{{ board.label }}</h2>
<ul>{% for sentence in board.words %}<li>{{ sentence }}</li>{% endfor %}</ul>
<h3>Latency at batch 1 (ms), and speedup over eager PyTorch</h3><div class="wide">{{ board.latencies }}</div>
<h3>By runtime</h3><div class="wide">{{ board.runtimes }}</div>
<h3>Time outside the kernels that MACs count</h3><div class="wide">{{ board.non_mac }}</div>
<p>Share of one inference, and how much of eager's non-MAC time is gone. Eager's is opclock's estimate from timed
kernels. Runtimes that tell their operators' times are taken at their word: an operator counts as MAC kernel with what
is fused into it, and what no operator covers is host. ~ marks runtimes that do not tell: their MAC kernels are taken to
be as fast as eager's, so the share is a guess, and 0 % says that the whole run takes less than eager's MAC kernels.</p>
<h3>Smallest batch for {{ share }} of the best throughput (and the best over batch 1)</h3>
<div class="wide">{{ board.knees }}</div>
<p>For runtimes that take any batch without converting anew; <code>opclock batch MODEL --runtime NAME</code> measures
the others'.</p>
{% if board.post %}<h3>Post-processing</h3><div class="wide">{{ board.post }}</div>
<p>Box decoding and non-maximum suppression, or upsampling and the choice of a class: in PyTorch, whatever ran the
network; its share of the whole beside each runtime.</p>{% endif %}
{% if board.failures %}<h3>Rows without a number</h3><div class="wide">{{ board.failures }}</div>{% endif %}
{% endfor %}
{% for name, image in figures.items() %}<img alt="{{ name }}" src="data:image/png;base64,{{ image }}">{% endfor %}
</body></html>
"""


def write_page(boards: Sequence[Landscape], folder: Path) -> None:
    """Write tables (CSV, JSON, Markdown), figures (PNG, SVG) and index.html. Raises OptionError where it cannot."""
    speedups = relative_speedups(boards)
    write_whole(
        folder / "latency.csv", pd.concat([latency_table(board) for board in boards]).to_csv(index=False).encode()
    )
    batches = pd.concat([batch_table(board).assign(board=board.label) for board in boards])
    write_whole(folder / "batches.csv", batches.to_csv(index=False).encode())
    if speedups:
        write_whole(
            folder / "boards.csv", pd.DataFrame([vars(speedup) for speedup in speedups]).to_csv(index=False).encode()
        )
    data = {"boards": [board.label for board in boards], "words": {board.label: words(board) for board in boards},
            "relative": [vars(speedup) for speedup in speedups]}  # fmt: skip
    write_whole(folder / "findings.json", (json.dumps(data, indent=2) + "\n").encode())
    text = "\n\n".join(tables.latencies(board).to_markdown(index=False) for board in boards)
    write_whole(folder / "latency.md", (text + "\n").encode())
    drawings = {**FIGURES, **({"board_speedups": board_speedups} if speedups else {})}
    images = {name.replace("_", " "): save_figure(draw(boards), folder, name) for name, draw in drawings.items()}
    page = (
        Environment(autoescape=True)
        .from_string(PAGE)
        .render(
            style=Markup(STYLE),
            boards=boards,
            relative=_html(tables.relative(speedups)),
            sections=[_section(board) for board in boards],
            share=f"{SHARE:.0%}",
            figures=images,
        )
    )
    write_whole(folder / "index.html", page.encode())


def _section(board: Landscape) -> dict[str, object]:
    return {
        "label": board.label, "words": words(board), "latencies": _html(tables.latencies(board)),
        "runtimes": _html(tables.runtimes(board)), "non_mac": _html(tables.non_mac(board)),
        "knees": _html(tables.knees(board)), "post": _html(tables.post_processing(board)),
        "failures": _html(pd.DataFrame(failures(board))),
    }  # fmt: skip


def _html(table: pd.DataFrame) -> Markup:
    """The table, or nothing where it has no rows; what pandas writes is escaped by it."""
    return Markup(table.to_html(index=False, border=0)) if len(table) else Markup("")
