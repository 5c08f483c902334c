"""The result of each candidate, and the file that keeps them while a run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, TextIO

from opclock.errors import OptionError
from opclock.files import json_text


@dataclass(frozen=True)
class Row:
    """One candidate: its estimate, or why there is none. Times in seconds, shares as fractions."""

    candidate: str
    state: str = ""  # of the candidate's file, the profile and the setting: a kept row counts only where it is equal
    error: str = ""
    total_s: float = 0.0
    ci_low_s: float = 0.0
    ci_high_s: float = 0.0
    macs: int = 0
    parameters: int = 0
    measured: float = 0.0  # share of the time
    setting: str = ""  # such as "2 threads on cpu in float32"
    flags: tuple[str, ...] = ()
    columns: dict[str, Any] = field(default_factory=dict)  # what the user knows of it, by name

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, the inverse of from_json."""
        return {**asdict(self), "flags": list(self.flags)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Row:
        """Rebuild from ``to_json``. Raises KeyError, TypeError or ValueError for any other data."""
        return Row(**{**data, "flags": tuple(data["flags"])})


def kept_rows(path: Path | None) -> dict[str, Row]:
    """The rows in a file, by candidate. What is no row, such as a line that was cut off, is left out."""
    if path is None or not path.exists():
        return {}
    rows: dict[str, Row] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"--keep {path}: cannot be read ({error}); name another file") from error
    for number, line in enumerate(lines):
        try:
            row = Row.from_json(json.loads(line))
        except (KeyError, TypeError, ValueError) as error:
            if number == 0 and len(lines) > 1:
                raise OptionError(f"--keep {path}: this file holds something else; name another one") from error
            continue
        rows[row.candidate] = row
    return rows


@contextmanager
def appending(path: Path | None) -> Iterator[TextIO | None]:
    """Open the file for further rows; None without one."""
    if path is None:
        yield None
        return
    torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" if torn else "")
            yield file
    except OSError as error:
        raise OptionError(f"--keep {path}: {error.strerror}; name another file") from error


def append(file: TextIO | None, row: Row) -> None:
    """Write a row, so that it stays however the process ends."""
    if file is not None:
        file.write(json_text(row.to_json()) + "\n")
        file.flush()


def front(rows: Sequence[Row], values: Mapping[str, float], *, largest: bool) -> set[str]:
    """The Pareto front: the candidates of which no faster one has a better value.

    Args:
        rows: estimates in any order.
        values: by candidate; one without a value is on no front.
        largest: whether larger values are better.

    Returns:
        The names of the candidates on the front. Of two that are equal in both, both are.
    """
    sign = 1.0 if largest else -1.0
    known = sorted((row.total_s, -sign * values[row.candidate], row.candidate)
                   for row in rows if row.candidate in values)  # fmt: skip
    best: tuple[float, float] | None = None
    chosen = set()
    for seconds, badness, name in known:
        if best is None or badness < best[1] or (seconds, badness) == best:
            best = (seconds, badness)
            chosen.add(name)
    return chosen


def values_of(rows: Sequence[Row], column: str) -> dict[str, float]:
    """By candidate: the number in a column of the user's, or its MACs or parameters; those without one are left out."""
    found = {row.candidate: row.columns.get(column, getattr(row, column, None)) for row in rows}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float) and isfinite(value)}
