"""Functions that give the same digits on every machine, as estimates need: they are made elsewhere than measurements.

The last bits of a logarithm or an exponential differ between C libraries, and within one by the processor's
instructions. Rounding takes them off. Python's ``+ - * /``, ``math.sqrt``, ``math.hypot`` and ``math.fsum`` do not
differ; ``sum`` does between versions of Python, and so do powers.
"""

from __future__ import annotations

import math

DIGITS = 12  # significant; a double has 16, and machines were seen to differ in the last


def rounded(value: float, digits: int = DIGITS) -> float:
    """A number with so few significant digits that they are the same on every machine."""
    return float(f"{value:.{digits - 1}e}")


def exp(value: float) -> float:
    """As ``math.exp``."""
    return rounded(math.exp(value))


def expm1(value: float) -> float:
    """As ``math.expm1``."""
    return rounded(math.expm1(value))


def log(value: float) -> float:
    """As ``math.log``."""
    return rounded(math.log(value))


def log1p(value: float) -> float:
    """As ``math.log1p``."""
    return rounded(math.log1p(value))


def log2(value: float) -> float:
    """As ``math.log2``."""
    return rounded(math.log2(value))
