"""A table of text cells that fits into a given width."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from opclock.flags import explained
from opclock.formatting import Unit, column_texts, percent
from opclock.report.printable import printable

GAP = "  "
NO_BREAK = "\u00a0"
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|[nµmkMGT]?(?:s|B|B/s|MAC/s|Hz)|min)(?:\W|$))")
# Inside a word "_" is text, and "<" is where no tag can begin.
_MARKUP = re.compile(r"[\\`*|]|<(?=[a-zA-Z/!?])|\b_|_\b|~~")
MIN_FOLDED = 24  # characters; text in a narrower column is hard to read


@dataclass(frozen=True)
class Column:
    """A heading and its cells. Text may wrap to several lines, numbers never do."""

    name: str
    cells: Sequence[str]
    priority: int = 0  # 0: always shown. If the table is too wide, the highest is left out first.
    align: Literal["left", "right", "point"] = "left"  # point: align decimal points

    @property
    def width(self) -> int:
        """The width without wrapping, in characters."""
        return max(map(len, (self.name, *self.aligned())))

    @property
    def min_width(self) -> int:
        """The smallest allowed width: text can wrap down to MIN_FOLDED characters, numbers cannot wrap."""
        return self.width if self.align != "left" else min(self.width, MIN_FOLDED)

    def aligned(self) -> list[str]:
        """Return the cells. If they align at the decimal point, they are padded on the right."""
        if self.align != "point":
            return list(self.cells)
        behind = [len(cell) - cell.find(".") if "." in cell else 0 for cell in self.cells]
        return [cell + " " * (max(behind, default=0) - mine) if cell else "" for cell, mine in zip(
            self.cells, behind, strict=True)]  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A title and columns with the same number of cells."""

    columns: Sequence[Column]
    title: str = ""

    def shown(self, width: int | None) -> tuple[list[Column], list[Column]]:
        """Return the columns that fit into the width, and those that are left out. Without a width all fit.

        Empty columns are in neither list, unless their priority is 0.
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
        """Return heading, rows, and a note on columns left out. Lines exceed the width only if numbers need more."""
        kept, dropped = self.shown(width)
        widths = _widths(kept, width)
        rows = list(zip(*(column.aligned() for column in kept), strict=True)) if kept else []
        text = [line for row in [tuple(column.name for column in kept), *rows] for line in _row(kept, widths, row)]
        if dropped:
            names = ", ".join(column.name for column in dropped)
            text += fold(f"left out to fit {width} columns: {names}", width)
        return text

    def records(self) -> list[dict[str, str]]:
        """Return one dictionary for each row."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows()]

    def rows(self) -> list[tuple[str, ...]]:
        """Return the cells by row."""
        return list(zip(*(column.cells for column in self.columns), strict=True))

    def to_markdown(self) -> str:
        """Return the whole table in Markdown."""
        from tabulate import tabulate

        alignment = ["left" if column.align == "left" else "right" for column in self.columns]
        rows = [[escaped(cell) for cell in row] for row in self.rows()]
        return tabulate(rows, [escaped(column.name) for column in self.columns], tablefmt="pipe",
                        disable_numparse=True, colalign=alignment if rows else None)  # fmt: skip


def escaped(text: str) -> str:
    """Text in Markdown, with a backslash before what would be markup."""
    return _MARKUP.sub(r"\\\g<0>", text)


def texts(name: str, values: Sequence[Any], priority: int = 0) -> Column:
    """Make a column of text."""
    return Column(name, [printable(str(value)) for value in values], priority)


def ready(name: str, cells: Sequence[str], priority: int = 0) -> Column:
    """Make a column of numbers that are already formatted."""
    return Column(name, list(cells), priority, "right")


def numbers(
    name: str, values: Sequence[float | None], unit: Unit, priority: int = 0, *, signed: bool = False
) -> Column:
    """Make a column of numbers. If one unit fits all rows, it is in the heading."""
    symbol, cells = column_texts(list(values), unit, signed=signed)
    alone = bool(symbol) or not any(" " in cell for cell in cells)
    return Column(f"{name} ({symbol})" if symbol else name, cells, priority, "point" if alone else "right")


def percents(name: str, fractions: Sequence[float | None], priority: int = 0, *, signed: bool = False) -> Column:
    """Make a column of shares or errors in percent from fractions."""
    return Column(name, [percent(fraction, signed=signed) for fraction in fractions], priority, "right")


def fold(text: str, width: int | None, indent: str = "") -> list[str]:
    """Wrap text between words into lines of this width. Without a width the result is one line.

    Every line but the first is indented. A number stays on one line with its unit.
    """
    if width is None or len(text) <= width:
        return [text]
    bound = _BEFORE_UNIT.sub(NO_BREAK, text)
    lines = textwrap.wrap(bound, width, subsequent_indent=indent, break_on_hyphens=False)
    return [line.replace(NO_BREAK, " ") for line in lines]


def _widths(columns: Sequence[Column], width: int | None) -> list[int]:
    """Return column widths. If the table is too wide, narrow the widest text columns first, down to min_width."""
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
    """Return the lines of one row: more than one if text wraps."""
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


def flagged_markdown(table: Table, flags: Iterable[str]) -> str:
    """The table in Markdown and below it one line for each flag."""
    lines = [f"- {line}" for line in explained(flags)]
    return "\n".join([table.to_markdown(), *(["", *lines] if lines else []), ""])
