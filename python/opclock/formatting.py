"""Formats numbers for people: three significant digits and a suitable unit. No other module formats numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

DIGITS = 3  # significant; differences below 0.5 % are within the noise of every measurement here
# A column has one unit where that leaves each number three digits and at most one zero before or after them.
MIN_SCALED, MAX_SCALED = 0.1, 10_000.0
MIN_PERCENT = 0.1  # smaller shares are not worth their digits
MIN_SIGNED_PERCENT = 0.01  # and smaller differences
_FACTORS = {"n": 1e-9, "µ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


@dataclass(frozen=True)
class Unit:
    """A unit and its prefixes, the smallest first."""

    name: str
    prefixes: tuple[str, ...]
    whole: bool = False  # whether numbers without a prefix are whole numbers

    def symbol(self, prefix: str) -> str:
        """The prefix and the unit, as written after a number: "ms"."""
        return prefix + self.name


SECONDS = Unit("s", ("n", "µ", "m", ""))
COUNT = Unit("", ("", "k", "M", "G", "T"), whole=True)
BYTES = Unit("B", ("", "k", "M", "G", "T"), whole=True)
MACS_PER_SECOND = Unit("MAC/s", ("", "k", "M", "G", "T"))
BYTES_PER_SECOND = Unit("B/s", ("", "k", "M", "G", "T"))
HERTZ = Unit("Hz", ("", "k", "M", "G"))


def digits(value: float) -> str:
    """Format with three significant digits, more only before the point, and no exponent: 0.0201, 8.03, 1490."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    rounded = float(f"{value:.{DIGITS - 1}e}")
    decimals = DIGITS - 1 - math.floor(math.log10(abs(rounded)))
    return f"{value:.{max(0, decimals)}f}"


def quantity(value: float | None, unit: Unit, *, signed: bool = False) -> str:
    """Format a number with a suitable unit: 20.1 µs, 1.30 G, +4.00 ms. "" for None and NaN."""
    if value is None or math.isnan(value):
        return ""
    prefix = _prefix(value, unit)
    return f"{_scaled(value, unit, prefix, signed)} {unit.symbol(prefix)}".rstrip()


def percent(fraction: float | None, *, signed: bool = False) -> str:
    """Format a fraction in percent: 12.3 %, 120 %, <0.1 %; with a sign +2.3 %, -0.04 %, <0.01 %. "" without."""
    if fraction is None or math.isnan(fraction):
        return ""
    value = fraction * 100
    size = abs(value)
    if size == 0:
        return "0 %"
    if size < MIN_PERCENT:  # a fraction above 0 never shows as 0
        if not signed:
            return f"<{MIN_PERCENT} %"
        if size < MIN_SIGNED_PERCENT:
            return f"<{MIN_SIGNED_PERCENT} %"
        text = f"{value:.{-math.floor(math.log10(size))}f}"  # one significant digit
    else:
        text = f"{value:.1f}" if size < 99.95 else f"{value:.0f}"
    return f"{'+' if signed and value > 0 else ''}{text} %"


def speedup(ratio: float | None) -> str:
    """Format a factor: 1.23x. "" for None and NaN."""
    return "" if ratio is None or math.isnan(ratio) else f"{digits(ratio)}x"


def counted(number: int, noun: str) -> str:
    """Format a number of things: 1 op call, 2 op calls."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Format a duration of waiting: 0.4 s, 95 s, 12 min, 3.5 h, 16 days."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    for limit, divisor, unit in ((100 * 60, 60, "min"), (100 * 3600, 3600, "h")):
        if seconds < limit:
            value = seconds / divisor
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{digits_or_whole(round(seconds / 86400))} days"


def memory(nbytes: int) -> str:
    """Format a power of two in binary units: 32 KiB."""
    exponent = min((nbytes.bit_length() - 1) // 10, 3) if nbytes else 0
    return f"{digits_or_whole(nbytes / (1 << 10 * exponent))} {('B', 'KiB', 'MiB', 'GiB')[exponent]}"


def digits_or_whole(value: float) -> str:
    """Format whole numbers without a point, others with three significant digits."""
    return f"{value:.0f}" if float(value).is_integer() else digits(value)


def column_texts(values: Sequence[float | None], unit: Unit, *, signed: bool = False) -> tuple[str, list[str]]:
    """Format a column of numbers.

    Args:
        values: numbers in the unit without a prefix; None and NaN become empty cells.
        unit: the unit of the values.
        signed: whether to write a plus before positive numbers.

    Returns:
        The unit for the heading, and the texts of the cells. The unit is "" where no single unit leaves each cell
        three digits; each cell then has its own unit.
    """
    present = [value for value in values if value is not None and not math.isnan(value)]
    prefix = _shared_prefix([abs(value) for value in present], unit)
    if prefix is None:
        return "", [quantity(value, unit, signed=signed) for value in values]
    return unit.symbol(prefix), [
        "" if value is None or math.isnan(value) else _scaled(value, unit, prefix, signed) for value in values
    ]


def _prefix(value: float, unit: Unit) -> str:
    """The largest prefix with which the number is at least 1."""
    rounded = abs(float(f"{value:.{DIGITS - 1}e}"))
    fitting = [prefix for prefix in unit.prefixes if rounded >= _FACTORS[prefix] * (1 - 1e-9)]
    return fitting[-1] if fitting and math.isfinite(rounded) else ("" if value == 0 else unit.prefixes[0])


def _shared_prefix(sizes: Sequence[float], unit: Unit) -> str | None:
    """A prefix with which every size keeps its digits: the median's prefix if possible, else the smallest possible."""
    sizes = sorted(size for size in sizes if size)
    if not sizes:
        return ""

    def fits(prefix: str) -> bool:
        low, high = (size / _FACTORS[prefix] for size in (sizes[0], sizes[-1]))
        whole = unit.whole and prefix == ""
        return low >= (1 if whole else MIN_SCALED) and high < MAX_SCALED

    middle = _prefix(sizes[len(sizes) // 2], unit)
    return next((prefix for prefix in (middle, *unit.prefixes) if fits(prefix)), None)


def _scaled(value: float, unit: Unit, prefix: str, signed: bool) -> str:
    scaled = value / _FACTORS[prefix]
    text = digits_or_whole(scaled) if unit.whole and prefix == "" else digits(scaled)
    return f"+{text}" if signed and value > 0 else text
