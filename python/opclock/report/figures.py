"""How a study's figures and pages are stored."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from matplotlib.figure import Figure

from opclock.files import write_whole

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1c1c1c }
h1 { margin-bottom: 0 } .board { color: #666; margin-top: .2rem }
table { border-collapse: collapse; font-size: .85rem } td, th { padding: .3rem .6rem; text-align: right }
th { border-bottom: 2px solid #999 } tr:nth-child(even) td { background: #f4f6f9 }
td:first-child, th:first-child { text-align: left } .wide { overflow-x: auto } img { max-width: 100%; margin: 1rem 0 }
"""


def save_figure(figure: Figure, folder: Path, name: str) -> str:
    """Write it as PNG and SVG; returns the PNG for a page, base64. Raises OptionError where it cannot be written."""
    image = ""
    for suffix in ("svg", "png"):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix)
        write_whole(folder / f"{name.replace('_', '-')}.{suffix}", buffer.getvalue())
        image = base64.b64encode(buffer.getvalue()).decode()
    return image
