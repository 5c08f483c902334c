"""What lies between two states of a machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from opclock import arithmetic


@dataclass(frozen=True)
class Shift:
    """What lies between two states of a machine."""

    log: float = 0.0  # logarithm of the seconds of a kernel in the second state over those in the first
    half_width: float = 0.0  # half its 95 % interval

    @property
    def factor(self) -> float:
        """Seconds in the second state over those in the first."""
        return arithmetic.exp(self.log)

    def to_json(self) -> dict[str, float]:
        """What it adds, and half the 95 % interval of that, as fractions of the seconds before."""
        return {"change": arithmetic.expm1(self.log), "half_width": self.factor * arithmetic.expm1(self.half_width)}

    @staticmethod
    def from_json(data: dict[str, float]) -> Shift:
        """The inverse. Raises KeyError, TypeError or ValueError for other data."""
        log = arithmetic.log1p(data["change"])
        return Shift(log, arithmetic.log1p(data["half_width"] / arithmetic.exp(log)))

    def widened(self, low_s: float, middle_s: float, high_s: float) -> tuple[float, float]:
        """An interval of seconds, with the error of this shift: both errors are independent."""
        own = middle_s * arithmetic.expm1(self.half_width)
        return max(0.0, middle_s - math.hypot(middle_s - low_s, own)), middle_s + math.hypot(high_s - middle_s, own)


def mean_shift(seconds: Sequence[float], shifts: Sequence[Shift | None]) -> Shift | None:
    """The shift of a sum.

    Args:
        seconds: its parts, after their shifts.
        shifts: of each part; None where it has none.

    Returns:
        What it changes in the sum. The errors of all parts have the same sign. None where no part has a shift.
    """
    if not any(shift is not None for shift in shifts) or math.fsum(seconds) <= 0:
        return None
    total_s = math.fsum(seconds)
    each = [shift or Shift() for shift in shifts]
    before_s = math.fsum(part_s / shift.factor for part_s, shift in zip(seconds, each, strict=True))
    error_s = math.fsum(
        part_s * arithmetic.expm1(shift.half_width) for part_s, shift in zip(seconds, each, strict=True)
    )
    return Shift(arithmetic.log(total_s / before_s), arithmetic.log1p(error_s / total_s))
