"""An Estimate: the expected time of one inference, and where it goes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from opclock.errors import OptionError
from opclock.estimation.device_timeline import DeviceTimeline
from opclock.estimation.kernel_times import Source
from opclock.estimation.setting import Setting
from opclock.flags import Flag, validity
from opclock.notebook import ShownInNotebooks
from opclock.profiles.processes import ProcessTimes
from opclock.profiles.shift import Shift
from opclock.tracing.operator_classes import MAC_CLASSES

if TYPE_CHECKING:
    import pandas as pd

HOST = "host"
AFTER_LAST = "(after the last op call)"  # the host's work there, among modules


@dataclass(frozen=True)
class Coverage:
    """Where the time comes from: fractions of the time that add up to 1.

    Op calls without a time count with the mean kernel time of those that have one.
    """

    measured: float
    modelled: float  # predictions from sweeps, and the host where it comes from the table by kind of call
    unknown: float  # op calls without a time
    unknown_op_calls: int = 0  # how many these are


@dataclass(frozen=True)
class Part:
    """The estimated time of one op call of the model, or of the host's work around it."""

    position: int
    module: str
    operator: str
    operator_class: str
    macs: int
    kernel_s: float | None  # None: unknown
    host_s: float
    source: Source = "measured"  # of kernel_s
    op_call: str = ""  # the operator with the specs of its arguments
    kernel_low_s: float | None = None  # 95 % interval of kernel_s; None where it is unknown, and beside a device
    kernel_high_s: float | None = None
    flags: tuple[Flag, ...] = ()  # of this op call's time
    roofline_s: float | None = None  # the shortest time that the ceilings allow; None where they were not measured

    @property
    def validity(self) -> Flag | Literal["valid"]:
        """The most serious of its flags that make it unreliable; "valid" where there is none."""
        return validity(self.flags)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Part:
        """The inverse of ``asdict``. Raises TypeError for other data."""
        return Part(**{**data, "flags": tuple(data.get("flags", ()))})


def outer_module(path: str, depth: int) -> str:
    """The first ``depth`` parts of a module's path; "" for the whole model. Raises OptionError: a negative depth."""
    if depth < 0:
        raise OptionError(f"depth={depth}: give 0 for the whole model, or a number of parts of the path")
    return ".".join(path.split(".")[:depth])


@dataclass(frozen=True)
class Estimate(ShownInNotebooks):
    """The expected time of one inference, and where it goes. All times are in seconds.

    The total is a median of sums (see ``estimate``). The parts are medians, scaled to add up to the total. Where an op
    call has no time, the estimate is incomplete: ``unknown`` names the call, and the total leaves it out.
    """

    model: str
    setting: Setting  # threads, device and dtype
    total_s: float
    ci_low_s: float
    ci_high_s: float
    parts: tuple[Part, ...]
    host_tail_s: float  # the host's work after the last op call
    coverage: Coverage
    unknown: tuple[str, ...]
    flags: tuple[Flag, ...] = ()
    uncounted_operators: tuple[str, ...] = ()  # they may multiply, and no part's ``macs`` counts them
    lanes: DeviceTimeline | None = None  # with a device beside the host; the parts are what each op call adds
    processes: tuple[ProcessTimes, ...] = ()  # what each process measured, in the pool with most of the time
    page_fault_s: float | None = None  # seconds that one page fault took; None where they were not counted
    interrupted_after: int | None = None  # rounds, where a measurement did not end (the fewest of several)
    shift: Shift | None = None  # from the states of the machine in which the parts were timed; in the total already
    left_out_controls: tuple[str, ...] = ()  # control workloads that have impossible seconds

    @property
    def threads(self) -> int:
        """Of PyTorch."""
        return self.setting.threads

    @property
    def complete(self) -> bool:
        """Whether every op call has a time."""
        return not self.unknown

    @cached_property
    def host_s(self) -> float:
        """The seconds of host work."""
        return math.fsum(part.host_s for part in self.parts) + self.host_tail_s

    @cached_property
    def mac_s(self) -> float:
        """The seconds of kernels that a MAC count includes: MAC_CLASSES."""
        return math.fsum(part.kernel_s or 0.0 for part in self.parts if part.operator_class in MAC_CLASSES)

    @cached_property
    def non_mac_s(self) -> float:
        """The seconds of all other kernels."""
        return math.fsum(part.kernel_s or 0.0 for part in self.parts if part.operator_class not in MAC_CLASSES)

    def by_class(self) -> dict[str, float]:
        """Seconds by operator class, the longest first. The host counts as a class."""
        seconds: dict[str, float] = {}
        for part in self.parts:
            seconds[part.operator_class] = seconds.get(part.operator_class, 0.0) + (part.kernel_s or 0.0)
        seconds[HOST] = self.host_s
        return dict(sorted(seconds.items(), key=lambda item: -item[1]))

    def by_module(self, depth: int = 1) -> dict[str, float]:
        """Seconds by module, kernels and host together.

        Args:
            depth: how many parts of the module path to keep.

        Returns:
            Seconds by path, the longest first; they add up to the total. The host's work after the last op call is in
            no module and has a name of its own.

        Raises:
            OptionError: a negative depth.
        """
        seconds: dict[str, float] = {}
        for part in self.parts:
            path = outer_module(part.module, depth)
            seconds[path] = seconds.get(path, 0.0) + (part.kernel_s or 0.0) + part.host_s
        if self.host_tail_s:
            seconds[AFTER_LAST] = self.host_tail_s
        return dict(sorted(seconds.items(), key=lambda item: -item[1]))

    def to_frame(self) -> pd.DataFrame:
        """A table, one row an op call, with the fields of ``Part`` as columns; flags are separated by blanks."""
        import pandas as pd  # takes a quarter of a second, and estimating does not need it

        return pd.DataFrame([{**asdict(part), "flags": " ".join(part.flags)} for part in self.parts])

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, as in a validation's row."""
        return {
            "total_s": self.total_s,
            "ci_low_s": self.ci_low_s,
            "ci_high_s": self.ci_high_s,
            "mac_s": self.mac_s,
            "non_mac_s": self.non_mac_s,
            "host_s": self.host_s,
            "by_class": self.by_class(),
            "coverage": asdict(self.coverage),
            "flags": list(self.flags),
            "uncounted_operators": list(self.uncounted_operators),
            "interrupted_after": self.interrupted_after,
            "processes": [one.to_json() for one in self.processes],
            "page_fault_s": self.page_fault_s,
            "machine_state": None if self.shift is None else self.shift.to_json(),
            "left_out_controls": list(self.left_out_controls),
            **({} if self.lanes is None else {"lanes": self.lanes.to_json()}),
        }
