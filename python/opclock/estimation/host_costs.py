"""The host's cost as a profile knows it: by model where it was sampled, by kind of call elsewhere. Needs no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cached_property

import numpy as np

from opclock.errors import EstimateError
from opclock.profiles.condition import Condition
from opclock.profiles.pool import Pool
from opclock.profiles.reader import NEWEST, ProfileReader
from opclock.profiles.statistics import Samples
from opclock.tracing.trace import Trace

# The host's work after the last op call: leaving the modules, handing the output back.
END = "end"


def host_kinds(trace: Trace) -> tuple[str, ...]:
    """The kind of host work before each op call (module type and operator), and after the last one."""
    return (*(f"{traced.module_type}/{traced.call.operator}" for traced in trace.calls), END)


def host_key(trace: Trace) -> str:
    """Equal for traces whose Python does the same: the same operators from the same modules in the same order."""
    text = "\n".join(f"{traced.module}/{traced.module_type}/{traced.call.operator}" for traced in trace.calls)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


MAX_POOLS = 16  # of other models, for a table by kind of call: more would add little and cost time


class HostTable:
    """A profile's host work for one condition, read as it is asked for."""

    def __init__(self, profile: ProfileReader, condition: Condition) -> None:
        self._profile = profile
        self._condition = condition

    def _pools(self, key: str | None, most: int) -> list[Pool]:
        return [self._profile.pool(number) for number in self._profile.pools_with_host(self._condition, key, most)]

    @cached_property
    def _table(self) -> list[Pool]:
        pools = self._pools(None, MAX_POOLS)
        nearest = abs(pools[0].condition.working_set - self._condition.working_set) if pools else 0
        return [p for p in pools if abs(p.condition.working_set - self._condition.working_set) <= nearest + 1]

    def sampled(self, key: str, kernels: Iterable[Pool]) -> Pool | None:
        """The pool in which this very host was sampled, or None: first among the pools of the model's own kernels.

        At another batch the same Python finds the caches in another state.
        """
        pools = [*kernels, *self._pools(key, NEWEST)]
        return next((pool for pool in pools if pool.host_key == key and pool.condition.timing == "in_model"), None)

    def kind_s(self, kind: str) -> float:
        """Median seconds of one kind of host work; the operator in any module, then any work, where it is unknown.

        From pools of the nearest working set, whose kernels left the host about as cold as this model's do.

        Raises EstimateError where the profile has no host work at all.
        """
        operator = kind.rpartition("/")[2]
        for fits in (lambda other: other == kind, lambda other: other.rpartition("/")[2] == operator, lambda _: True):
            columns: list[Samples] = [
                pool.host_s[:, column]
                for pool in self._table
                for column, other in enumerate(pool.host_kinds)
                if fits(other)
            ]
            if columns:
                return float(np.median(np.concatenate(columns)))
        raise EstimateError("the profile has no host cost; measure any model into it with this number of threads first")
