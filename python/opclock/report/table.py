"""The one table: columns of texts, and what of them is shown in a given width."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from opclock.formatting import Unit, column_texts, percent

GAP = "  "
NO_BREAK = "\u00a0"
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|[nµmkMGT]?(?:s|B|B/s|MAC/s|Hz)|min)(?:\W|$))")
MIN_FOLDED = 24  # characters; a text in fewer is hard to read


@dataclass(frozen=True)
class Column:
    """A heading and its cells. Numbers are never cut, texts may fold."""

    name: str
    cells: Sequence[str]
    priority: int = 0  # 0: always shown; where the width does not do, the highest number goes first
    align: Literal["left", "right", "point"] = "left"  # point: decimal points below one another

    @property
    def width(self) -> int:
        """Of the widest line that is not folded."""
        return max(map(len, (self.name, *self.aligned())))

    @property
    def min_width(self) -> int:
        """What it needs: all of it for numbers, a readable part of a text."""
        return self.width if self.align != "left" else min(self.width, MIN_FOLDED)

    def aligned(self) -> list[str]:
        """The cells, padded behind the point where they are aligned by it."""
        if self.align != "point":
            return list(self.cells)
        behind = [len(cell) - cell.find(".") if "." in cell else 0 for cell in self.cells]
        return [cell + " " * (max(behind, default=0) - mine) if cell else "" for cell, mine in zip(
            self.cells, behind, strict=True)]  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Columns of the same length under a title."""

    columns: Sequence[Column]
    title: str = ""

    def shown(self, width: int | None) -> tuple[list[Column], list[Column]]:
        """The columns that fit the width, and those that are left out; all fit where there is no width.

        Columns without any content, such as flags where there are none, are in neither.
        """
        kept = [column for column in self.columns if column.priority == 0 or any(column.cells)]
        dropped = []
        while width is not None and sum(column.min_width for column in kept) + len(GAP) * (len(kept) - 1) > width:
            least = max(kept, key=lambda column: column.priority)
            if least.priority == 0:
                break
            kept.remove(least)
            dropped.append(least)
        return kept, [column for column in self.columns if column in dropped]

    def lines(self, width: int | None) -> list[str]:
        """Heading and rows, then which columns are left out. No line is wider than the width if numbers allow it."""
        kept, dropped = self.shown(width)
        widths = _widths(kept, width)
        rows = list(zip(*(column.aligned() for column in kept), strict=True)) if kept else []
        text = [line for row in [tuple(column.name for column in kept), *rows] for line in _row(kept, widths, row)]
        if dropped:
            names = ", ".join(column.name for column in dropped)
            text += fold(f"left out to fit {width} columns: {names}", width)
        return text

    def records(self) -> list[dict[str, str]]:
        """One dictionary a row."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows()]

    def rows(self) -> list[tuple[str, ...]]:
        """The cells row by row."""
        return list(zip(*(column.cells for column in self.columns), strict=True))

    def to_markdown(self) -> str:
        """The whole table in Markdown."""
        from tabulate import tabulate

        alignment = ["left" if column.align == "left" else "right" for column in self.columns]
        return tabulate(self.rows(), [column.name for column in self.columns], tablefmt="pipe",
                        disable_numparse=True, colalign=alignment if self.rows() else None)  # fmt: skip


def texts(name: str, values: Sequence[Any], priority: int = 0) -> Column:
    """A column of words."""
    return Column(name, [str(value) for value in values], priority)


def ready(name: str, cells: Sequence[str], priority: int = 0) -> Column:
    """A column of numbers that are texts already."""
    return Column(name, list(cells), priority, "right")


def numbers(
    name: str, values: Sequence[float | None], unit: Unit, priority: int = 0, *, signed: bool = False
) -> Column:
    """A column of numbers, its unit in the heading where one does for all rows."""
    symbol, cells = column_texts(list(values), unit, signed=signed)
    alone = bool(symbol) or not any(" " in cell for cell in cells)
    return Column(f"{name} ({symbol})" if symbol else name, cells, priority, "point" if alone else "right")


def percents(name: str, fractions: Sequence[float | None], priority: int = 0, *, signed: bool = False) -> Column:
    """A column of shares or errors in percent."""
    return Column(name, [percent(fraction, signed=signed) for fraction in fractions], priority, "right")


def fold(text: str, width: int | None, indent: str = "") -> list[str]:
    """The text in lines of this width, broken between words; later lines are indented. One line without a width.

    A number stays with its unit.
    """
    if width is None or len(text) <= width:
        return [text]
    bound = _BEFORE_UNIT.sub(NO_BREAK, text)
    lines = textwrap.wrap(bound, width, subsequent_indent=indent, break_on_hyphens=False)
    return [line.replace(NO_BREAK, " ") for line in lines]


def _widths(columns: Sequence[Column], width: int | None) -> list[int]:
    """Whole columns where they fit; else texts share what numbers leave, each at least its least."""
    widths = [column.width for column in columns]
    if width is None:
        return widths
    excess = sum(widths) + len(GAP) * (len(columns) - 1) - width
    for place in sorted(range(len(columns)), key=lambda place: -widths[place]):
        least = min(columns[place].min_width, widths[place])
        if excess > 0 and columns[place].align == "left":
            cut = min(excess, widths[place] - least)
            widths[place] -= cut
            excess -= cut
    return widths


def _row(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[str]) -> list[str]:
    """A row's lines: more than one where a text folds."""
    folded = [
        [cell] if column.align != "left" or len(cell) <= width else fold(cell, width)
        for column, width, cell in zip(columns, widths, cells, strict=True)
    ]
    lines = []
    for parts in zip_longest(*folded, fillvalue=""):
        padded = [
            part.ljust(width) if column.align == "left" else part.rjust(width)
            for column, width, part in zip(columns, widths, parts, strict=True)
        ]
        lines.append(GAP.join(padded).rstrip())
    return lines
