"""What the user knows of the candidates, from a CSV file."""

from __future__ import annotations

import csv
from pathlib import Path

from opclock.errors import OptionError

Known = dict[str, dict[str, float | str]]


def read_columns(path: Path | None) -> Known:
    """Read a CSV file.

    Args:
        path: its first line has the names of the columns; the first cell of each other line is a candidate's name.

    Returns:
        By candidate and column: a number where the cell is one, else its text. Empty cells are left out.

    Raises:
        OptionError: it cannot be read, or has no column besides the names.
    """
    if path is None:
        return {}
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OptionError(f"--columns {path}: {getattr(error, 'strerror', None) or error}; name a CSV file") from error
    if not lines or len(lines[0]) < 2:
        raise OptionError(f"--columns {path}: the first line must name a column for candidates and another one, "
                          "such as candidate,accuracy")  # fmt: skip
    heading = [name.strip() for name in lines[0][1:]]
    return {
        cells[0].strip(): {
            name: _value(cell) for name, cell in zip(heading, cells[1:], strict=False) if cell.strip()
        }
        for cells in lines[1:] if cells
    }  # fmt: skip


def _value(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell.strip()
