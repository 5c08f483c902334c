"""Values of integer and boolean arguments that a trace keeps: kernels accept only some, or take longer by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_EXACT = 1024  # elements: larger tensors are known by their range


@dataclass(frozen=True)
class KnownValues:
    """What a trace knows of an integer or boolean tensor. Booleans are 0 and 1."""

    low: int
    high: int  # the largest value itself
    exact: tuple[int, ...] = ()  # all values in row-major order; empty for a tensor of more than MAX_EXACT elements

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, the inverse of from_json."""
        return {"low": self.low, "high": self.high, **({"exact": list(self.exact)} if self.exact else {})}

    @staticmethod
    def from_json(data: dict[str, Any]) -> KnownValues:
        """Rebuild from ``to_json``."""
        return KnownValues(data["low"], data["high"], tuple(data.get("exact", ())))
