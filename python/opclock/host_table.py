"""The host's cost as a profile knows it: by model where it was played, by kind of call elsewhere. Needs no torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from opclock.condition import Condition
from opclock.errors import EstimateError
from opclock.measurement import Pool, Samples, nearest_first
from opclock.profile import Profile
from opclock.trace import Trace

# The host's work after the last op call: leaving the modules, handing the output back.
END = "end"


def host_kinds(trace: Trace) -> tuple[str, ...]:
    """The kind of host work before each op call (module type and operator), and after the last one."""
    return (*(f"{traced.module_type}/{traced.call.operator}" for traced in trace.calls), END)


def host_key(trace: Trace) -> str:
    """Equal for traces whose Python does the same: the same operators from the same modules in the same order."""
    text = "\n".join(f"{traced.module}/{traced.module_type}/{traced.call.operator}" for traced in trace.calls)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class HostTable:
    """Every pool with host work in it, the nearest condition first."""

    pools: tuple[Pool, ...]

    @staticmethod
    def read(profile: Profile, condition: Condition) -> HostTable:
        """All host work that was played with this device and number of threads."""
        numbers = profile.pools_with_host(condition.timing, condition.device, condition.threads)
        pools = [profile.pool(number) for number in numbers]
        return HostTable(tuple(nearest_first(pools, condition)))

    def played(self, key: str) -> Pool | None:
        """The pool in which this very host was played, if any."""
        return next((pool for pool in self.pools if pool.host_key == key), None)

    def kind_s(self, kind: str) -> float:
        """Median seconds of one kind of host work; the operator in any module, then any work, where it is unknown.

        Raises EstimateError where the profile has no host work at all.
        """
        operator = kind.rpartition("/")[2]
        for fits in (lambda other: other == kind, lambda other: other.rpartition("/")[2] == operator, lambda _: True):
            found: list[Samples] = [
                pool.host_s[:, column]
                for pool in self.pools
                for column, other in enumerate(pool.host_kinds)
                if fits(other)
            ]
            if found:
                return float(np.median(np.concatenate(found)))
        raise EstimateError("the profile has no host cost; measure any model into it with this number of threads first")
