"""A test that measured something, and how it compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opclock.formatting import percent

if TYPE_CHECKING:
    from opclock.testing.benchmark import Benchmark


@dataclass(frozen=True)
class TestCase:
    """A test that measured something.

    Attributes:
        name: with its parameters: "test_latency[fp32]".
        fullname: with its file.
        result: what it measured.
        max_slowdown: that it allows, a fraction.
        param: the text of its parameters; None where it has none.
        params: its parameters by name.
    """

    __test__ = False  # pytest takes no class of this name for a test

    name: str
    fullname: str
    result: Benchmark
    max_slowdown: float
    param: str | None = None
    params: Mapping[str, object] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """See ``Slowdown.verdict``; "" without a baseline."""
        slowdown = self.result.slowdown
        return "" if slowdown is None else slowdown.verdict(self.max_slowdown)

    @property
    def complaint(self) -> str:
        """Why the test fails, or would fail if the machine were not in doubt; "" where it does not."""
        slowdown = self.result.slowdown
        if slowdown is None or not slowdown.above(self.max_slowdown):
            return ""
        change, low, high = (percent(ratio - 1, signed=True) for ratio in (slowdown.ratio, slowdown.low, slowdown.high))
        found = f"slower than the baseline: {change} [{low}, {high}], {percent(self.max_slowdown)} is allowed"
        return f"undecided: perhaps {found}, but {slowdown.doubt}" if slowdown.doubt else found
