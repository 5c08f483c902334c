"""An Estimate: what one inference should take, and where the time goes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from opclock.estimation.device_timeline import DeviceTimeline
from opclock.estimation.setting import Setting
from opclock.tracing.operator_classes import MAC_CLASSES

if TYPE_CHECKING:
    import pandas as pd

HOST = "host"
Source = Literal["measured", "modelled", "unknown"]


@dataclass(frozen=True)
class Coverage:
    """Shares of the estimated time, fractions that add up to 1."""

    measured: float
    modelled: float  # op calls predicted from sweeps, and the host where it comes from the table by kind of call
    unknown: float  # the share of op calls that have no number, when any has none


@dataclass(frozen=True)
class Part:
    """The estimated time of one op call of the model, or of the host's work around it."""

    position: int
    module: str
    operator: str
    operator_class: str
    macs: int
    kernel_s: float | None  # None: no number for it
    host_s: float
    source: Source = "measured"  # of kernel_s


@dataclass(frozen=True)
class Estimate:
    """What one inference should take, and where the time goes. Seconds.

    The total is a median of sums (see ``estimate``); the parts are medians, scaled so that they add up to it.
    Where an op call has no number the estimate is incomplete: ``unknown`` names it and the total leaves it out.
    """

    model: str
    setting: Setting  # the threads, device and dtype that it holds for
    total_s: float
    ci_low_s: float
    ci_high_s: float
    parts: tuple[Part, ...]
    host_tail_s: float  # the host's work after the last op call
    coverage: Coverage
    unknown: tuple[str, ...]
    flags: tuple[str, ...] = ()
    lanes: DeviceTimeline | None = None  # where a device works beside the host; the parts are then what each adds

    @property
    def threads(self) -> int:
        """Of PyTorch."""
        return self.setting.threads

    @property
    def complete(self) -> bool:
        """Whether every op call had a number."""
        return not self.unknown

    @cached_property
    def host_s(self) -> float:
        """The host's share of the total."""
        return sum(part.host_s for part in self.parts) + self.host_tail_s

    @cached_property
    def mac_s(self) -> float:
        """Kernels whose work a MAC count sees: convolution and gemm."""
        return sum(part.kernel_s or 0.0 for part in self.parts if part.operator_class in MAC_CLASSES)

    @cached_property
    def non_mac_s(self) -> float:
        """Every other kernel."""
        return sum(part.kernel_s or 0.0 for part in self.parts if part.operator_class not in MAC_CLASSES)

    def by_class(self) -> dict[str, float]:
        """Seconds by operator class, the longest first; the host is one of them."""
        seconds: dict[str, float] = {}
        for part in self.parts:
            seconds[part.operator_class] = seconds.get(part.operator_class, 0.0) + (part.kernel_s or 0.0)
        seconds[HOST] = self.host_s
        return dict(sorted(seconds.items(), key=lambda item: -item[1]))

    def by_module(self, depth: int = 1) -> dict[str, float]:
        """Seconds by module path cut to this depth, kernels and host together, the longest first."""
        seconds: dict[str, float] = {}
        for part in self.parts:
            path = ".".join(part.module.split(".")[:depth])
            seconds[path] = seconds.get(path, 0.0) + (part.kernel_s or 0.0) + part.host_s
        return dict(sorted(seconds.items(), key=lambda item: -item[1]))

    def to_frame(self) -> pd.DataFrame:
        """One row an op call: position, module, operator, operator_class, macs, kernel_s, host_s, source."""
        import pandas as pd  # takes a quarter of a second: an estimate needs none of it

        return pd.DataFrame([asdict(part) for part in self.parts])

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, as it stands in a validation's row."""
        return {
            "total_s": self.total_s,
            "ci_low_s": self.ci_low_s,
            "ci_high_s": self.ci_high_s,
            "mac_s": self.mac_s,
            "non_mac_s": self.non_mac_s,
            "host_s": self.host_s,
            "by_class": self.by_class(),
            "coverage": asdict(self.coverage),
            **({} if self.lanes is None else {"lanes": self.lanes.to_json()}),
        }
