"""Compares the estimates of two models module by module, such as a network's in float32 and in int8. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from opclock.estimation.result import AFTER_LAST, Estimate, outer_module
from opclock.flags import Flag, untrusted
from opclock.tracing.operator_classes import QUANTISATION

Verdict = Literal["faster", "slower", "undecided"]


class Seconds(NamedTuple):
    """The time of a part of a model, by what it is spent on."""

    kernels_s: float = 0.0  # all but those that quantise
    quantisation_s: float = 0.0  # kernels that quantise and dequantise
    host_s: float = 0.0

    @property
    def total_s(self) -> float:
        """All three."""
        return sum(self)

    def plus(self, other: Seconds, sign: int = 1) -> Seconds:
        """Add another one, or take it off with ``sign`` -1."""
        return Seconds(*(one + sign * two for one, two in zip(self, other, strict=True)))


class ModuleChange(NamedTuple):
    """One module in both models; no time where a model lacks it."""

    module: str
    first: Seconds
    second: Seconds

    @property
    def change(self) -> Seconds:
        """The second's time minus the first's."""
        return self.second.plus(self.first, -1)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        sides = {"first": self.first, "second": self.second, "change": self.change}
        times = {name: {**seconds._asdict(), "total_s": seconds.total_s} for name, seconds in sides.items()}
        return {"module": self.module, **times}


@dataclass(frozen=True)
class EstimateComparison:
    """Two estimates and where they differ."""

    first: Estimate
    second: Estimate
    depth: int  # parts of the module path that are kept

    @cached_property
    def modules(self) -> tuple[ModuleChange, ...]:
        """Every module of either model; the one whose time grows most comes first."""
        first, second = by_module(self.first, self.depth), by_module(self.second, self.depth)
        rows = [ModuleChange(name, first.get(name, Seconds()), second.get(name, Seconds())) for name in
                dict.fromkeys((*first, *second))]  # fmt: skip
        return tuple(sorted(rows, key=lambda row: -row.change.total_s))

    @cached_property
    def whole(self) -> ModuleChange:
        """The sum over all modules."""
        first, second = Seconds(), Seconds()
        for row in self.modules:
            first, second = first.plus(row.first), second.plus(row.second)
        return ModuleChange("", first, second)

    @property
    def quantises(self) -> bool:
        """Whether one of the two models quantises or dequantises."""
        return bool(self.whole.first.quantisation_s or self.whole.second.quantisation_s)

    @property
    def change_s(self) -> float:
        """The second's total minus the first's."""
        return self.second.total_s - self.first.total_s

    @property
    def interval_s(self) -> tuple[float, float]:
        """The interval of the change, as if the errors of both estimates had opposite signs."""
        return self.second.ci_low_s - self.first.ci_high_s, self.second.ci_high_s - self.first.ci_low_s

    @property
    def doubts(self) -> tuple[Flag, ...]:
        """Flags that make one of the two estimates unreliable."""
        return untrusted((*self.first.flags, *self.second.flags))

    @property
    def verdict(self) -> Verdict:
        """What the second is beside the first; undecided where the interval holds 0 or an estimate is unreliable."""
        low_s, high_s = self.interval_s
        if self.doubts or low_s <= 0 <= high_s:
            return "undecided"
        return "slower" if low_s > 0 else "faster"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, times in seconds."""
        sides = {
            name: {"model": one.model, **one.setting._asdict(), "total_s": one.total_s, "ci_low_s": one.ci_low_s,
                   "ci_high_s": one.ci_high_s, "by_class": one.by_class(), "flags": list(one.flags)}
            for name, one in (("first", self.first), ("second", self.second))
        }  # fmt: skip
        low_s, high_s = self.interval_s
        whole = self.whole.to_json()
        del whole["module"]
        return {
            **sides,
            "change_s": self.change_s,
            "change_low_s": low_s,
            "change_high_s": high_s,
            "verdict": self.verdict,
            "whole": whole,
            "modules": [row.to_json() for row in self.modules],
        }


def by_module(estimate: Estimate, depth: int) -> dict[str, Seconds]:
    """The time of each module by what it is spent on, in the model's order.

    Args:
        estimate: the estimate.
        depth: parts of the module path to keep; 0 for the whole model.

    Returns:
        Times by path. They add up to the total; op calls without a time count as 0.

    Raises:
        OptionError: a negative depth.
    """
    seconds: dict[str, Seconds] = {}
    for part in estimate.parts:
        path = outer_module(part.module, depth)
        kernel_s, quantises = part.kernel_s or 0.0, part.operator_class == QUANTISATION
        own = Seconds(0.0 if quantises else kernel_s, kernel_s if quantises else 0.0, part.host_s)
        seconds[path] = seconds.get(path, Seconds()).plus(own)
    if estimate.host_tail_s:
        seconds[AFTER_LAST] = Seconds(host_s=estimate.host_tail_s)
    return seconds
