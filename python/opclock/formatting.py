"""Numbers as a person reads them: three significant digits, and a unit that fits. The only place that formats them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

DIGITS = 3  # significant; differences below 0.5 % are within the noise of any measurement here
# A column has one unit where that leaves each number three digits and at most one zero before or after them.
MIN_SCALED, MAX_SCALED = 0.1, 10_000.0
MIN_PERCENT = 0.1  # smaller shares are not worth their digits
_FACTORS = {"n": 1e-9, "µ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


@dataclass(frozen=True)
class Unit:
    """A unit and the prefixes that it takes, the smallest first."""

    name: str
    prefixes: tuple[str, ...]
    whole: bool = False  # whether numbers without a prefix are whole numbers

    def symbol(self, prefix: str) -> str:
        """What stands behind the number: "ms"."""
        return prefix + self.name


SECONDS = Unit("s", ("n", "µ", "m", ""))
COUNT = Unit("", ("", "k", "M", "G", "T"), whole=True)
BYTES = Unit("B", ("", "k", "M", "G", "T"), whole=True)
MACS_PER_SECOND = Unit("MAC/s", ("", "k", "M", "G", "T"))
BYTES_PER_SECOND = Unit("B/s", ("", "k", "M", "G", "T"))
HERTZ = Unit("Hz", ("", "k", "M", "G"))


def digits(value: float) -> str:
    """Three significant digits without an exponent, or all digits before the point: 0.0201, 8.03, 1490."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    rounded = float(f"{value:.{DIGITS - 1}e}")
    decimals = DIGITS - 1 - math.floor(math.log10(abs(rounded)))
    return f"{value:.{max(0, decimals)}f}"


def quantity(value: float | None, unit: Unit, *, signed: bool = False) -> str:
    """A number with the unit that fits: 20.1 µs, 1.30 G, +4.00 ms. "" for none and for NaN."""
    if value is None or math.isnan(value):
        return ""
    prefix = _prefix(value, unit)
    return f"{_scaled(value, unit, prefix, signed)} {unit.symbol(prefix)}".rstrip()


def percent(fraction: float | None, *, signed: bool = False) -> str:
    """A share or an error in percent: 12.3 %, 120 %, <0.1 %; with a sign +2.3 %, -0.04 %. "" for none and for NaN."""
    if fraction is None or math.isnan(fraction):
        return ""
    value = fraction * 100
    size = abs(value)
    if size == 0:
        return "0 %"
    if size < MIN_PERCENT:  # never 0 for what is not
        if not signed:
            return f"<{MIN_PERCENT} %"
        text = f"{value:.{-math.floor(math.log10(size))}f}"  # one significant digit
    else:
        text = f"{value:.1f}" if size < 99.95 else f"{value:.0f}"
    return f"{'+' if signed and value > 0 else ''}{text} %"


def speedup(ratio: float | None) -> str:
    """A factor: 1.23x. "" for none and for NaN."""
    return "" if ratio is None or math.isnan(ratio) else f"{digits(ratio)}x"


def memory(nbytes: int) -> str:
    """A size that is a power of two, in binary units: 32 KiB."""
    exponent = min((nbytes.bit_length() - 1) // 10, 3) if nbytes else 0
    return f"{digits_or_whole(nbytes / (1 << 10 * exponent))} {('B', 'KiB', 'MiB', 'GiB')[exponent]}"


def digits_or_whole(value: float) -> str:
    """Whole numbers without a point, others with three significant digits."""
    return f"{value:.0f}" if float(value).is_integer() else digits(value)


def column_texts(values: Sequence[float | None], unit: Unit, *, signed: bool = False) -> tuple[str, list[str]]:
    """A column of numbers: the unit for its heading and the texts of its cells.

    Args:
        values: in the unit without a prefix; None and NaN are empty cells.
        unit: theirs.
        signed: with a plus before what is above 0.

    Returns:
        The one unit that leaves each cell three digits, such as "ms"; "" where there is none, and each cell then has
        a unit of its own.
    """
    present = [value for value in values if value is not None and not math.isnan(value)]
    prefix = _shared_prefix([abs(value) for value in present], unit)
    if prefix is None:
        return "", [quantity(value, unit, signed=signed) for value in values]
    return unit.symbol(prefix), [
        "" if value is None or math.isnan(value) else _scaled(value, unit, prefix, signed) for value in values
    ]


def _prefix(value: float, unit: Unit) -> str:
    """The largest prefix that leaves at least 1 before the point."""
    rounded = abs(float(f"{value:.{DIGITS - 1}e}"))
    fitting = [prefix for prefix in unit.prefixes if rounded >= _FACTORS[prefix] * (1 - 1e-9)]
    return fitting[-1] if fitting and math.isfinite(rounded) else ("" if value == 0 else unit.prefixes[0])


def _shared_prefix(sizes: Sequence[float], unit: Unit) -> str | None:
    """The prefix under which every size keeps its digits: the median's if that does, else the smallest that does."""
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
