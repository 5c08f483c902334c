"""How a study's figures and pages are stored."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from matplotlib.figure import Figure

from opclock.files import write_whole


def save_figure(figure: Figure, folder: Path, name: str) -> str:
    """Write a figure as PNG and SVG. Returns the PNG in base64. Raises OptionError if a file cannot be written."""
    image = ""
    for suffix in ("svg", "png"):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix)
        write_whole(folder / f"{name.replace('_', '-')}.{suffix}", buffer.getvalue())
        image = base64.b64encode(buffer.getvalue()).decode()
    return image
