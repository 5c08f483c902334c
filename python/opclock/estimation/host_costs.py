"""The host's cost from a profile: by model where it was sampled, else by kind of call. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from opclock import arithmetic
from opclock.errors import EstimateError
from opclock.estimation.host_keys import has_other_code, host_key, usable_keys
from opclock.estimation.host_law import HostLaw
from opclock.estimation.watching import unwatched
from opclock.flags import Flag
from opclock.formatting import counted
from opclock.profiles.condition import Condition, Timing
from opclock.profiles.pool import Pool
from opclock.profiles.pool_reader import NEWEST
from opclock.profiles.processes import Processes, middle, middle_interval
from opclock.profiles.reader import ProfileReader
from opclock.profiles.shift import Shift
from opclock.profiles.state_change import StateChange
from opclock.profiles.statistics import TWO_SIDED_95, Blocks, Samples, sums_over_medians
from opclock.tracing.macs import bytes_per_call
from opclock.tracing.trace import Trace

# The host's work after the last op call: it leaves the modules and returns the output.
END = "end"


def host_kinds(trace: Trace) -> tuple[str, ...]:
    """Name the kind of host work before each op call, and after the last one.

    Args:
        trace: the model.

    Returns:
        "module type/operator" for each op call, then "end": one more than the trace has calls.
    """
    return (*(f"{traced.module_type}/{traced.host_operator}" for traced in trace.calls), END)


FEW_MODELS = 4  # fewer do not show how models differ
MODELS_DEVIATION = 0.15  # of the logarithm between models: their host took 3 to 5.5 µs a call, most of the 95 %
MAX_POOLS = 16  # pools of other models in a table by kind of call: more take time and change little
IN_ORDER: tuple[Timing, ...] = ("in_model", "in_network")
CANDIDATES = 512  # pools that these are chosen from


class HostTable:
    """The host work of other models in a profile, by kind of call. It is read when it is needed.

    It comes from the pools in a model's order, or from those of a sweep's kernels where these are few, whose op calls
    move about as many bytes as the model's. The more data goes through the
    caches between two pieces of host work, the less of its own code and data the host still finds there: among kernels
    of 20 KB it took half of what it took among kernels of 1 MB.

    Args:
        profile: the measurements; only read.
        condition: the condition that the host work should be from.
        moved: the bytes that one of the model's op calls moves on average.
    """

    def __init__(self, profile: ProfileReader, condition: Condition, moved: float) -> None:
        self._profile = profile
        self._condition = condition
        self._moved = moved
        self._kinds_s: dict[str, float] = {}

    @cached_property
    def _by_pool(self) -> list[_PoolHost]:
        pools = self._profile.remembered(
            ("bytes between host", self._condition.device, self._condition.threads), self._candidates
        )
        nearest = sorted(pools, key=lambda pool: abs(arithmetic.log2((1 + pool[1]) / (1 + self._moved))))
        return [_pool_host(self._profile, number) for number, _ in nearest[:MAX_POOLS]]

    def _candidates(self) -> list[tuple[int, float]]:
        """Pools with host work, and the mean bytes of an op call. Kernels of a sweep lie in no order of a model."""
        pools = self._profile.bytes_between_host(self._condition, CANDIDATES)
        in_order = set(self._profile.pools(IN_ORDER, self._condition.device, self._condition.threads))
        among_models = [pool for pool in pools if pool[0] in in_order]
        return among_models if len(among_models) >= MAX_POOLS else pools

    def factor(self, kinds: Sequence[str]) -> float:
        """The host's cost by this table times and over this factor is its 95 % interval.

        It comes from what the same calls cost by each model of the table alone.
        """
        if not self._by_pool:
            return 1.0
        usual = {kind: self.kind_s(kind) for kind in set(kinds)}
        logs = [arithmetic.log(total) for pool in self._by_pool if (total := pool.total_s(kinds, usual)) > 0]
        deviation = float(np.std(logs, ddof=1)) if len(logs) > 1 else 0.0
        if len(logs) < FEW_MODELS:
            deviation = max(deviation, MODELS_DEVIATION)
        return arithmetic.exp(TWO_SIDED_95 * deviation)

    def kind_s(self, kind: str) -> float:
        """Look up one kind of host work.

        Where the profile lacks the kind, the same operator in any
        module counts; where it lacks the operator too, all host work counts.

        Args:
            kind: as ``host_kinds`` names it.

        Returns:
            The median, in seconds.

        Raises:
            EstimateError: the profile has no host work at all.
        """
        if kind not in self._kinds_s:
            self._kinds_s[kind] = self._looked_up_s(kind)
        return self._kinds_s[kind]

    def _looked_up_s(self, kind: str) -> float:
        for found in self._samples_s(kind):
            if found:
                return _median(np.concatenate([samples.ravel() for samples in found]))
        raise EstimateError(
            f"{self._profile.path} has no host cost with {counted(self._condition.threads, 'thread')}: measure any "
            "model into it, or run 'opclock sweep --preset board' with it"
        )

    def _samples_s(self, kind: str) -> Iterator[list[Samples]]:
        """By pool: of this kind, else of its operator in any module, else of all."""
        operator = kind.rpartition("/")[2]
        yield [pool.of(kind) for pool in self._by_pool if kind in pool.kinds]
        yield [pool.of_operator(operator) for pool in self._by_pool if operator in pool.operators]
        yield [pool.host_s for pool in self._by_pool]


def _sampled(trace: Trace, profile: ProfileReader, condition: Condition, kernels: Iterable[Pool]) -> Pool | None:
    """Find a pool in which a model's host was sampled.

    The pools of the model's own kernels come first: with another batch size, the same Python finds the caches in
    another state. A pool whose code cannot be compared with the model's comes last.

    Args:
        trace: the model.
        profile: the measurements; only read.
        condition: the condition that the host work should be from.
        kernels: the pools that the model's kernels are taken from.

    Returns:
        The pool, or None.
    """
    own = list(kernels)
    for key in usable_keys(trace, profile):
        others = (profile.pool(number) for number in profile.pools_with_host(condition, key, NEWEST))
        for pool in chain(own, others):
            if pool.host_key == key and pool.condition.timing == "in_model":
                return pool
    return None


def _unsampled(trace: Trace, profile: ProfileReader, condition: Condition) -> tuple[Samples, float]:
    """The host's work where it was not sampled: by the law of a sweep, else by kind of call from other models.

    Returns the seconds before each op call and after the last, and the factor of their sum's interval.
    """
    kinds, moved = host_kinds(trace), bytes_per_call(trace.calls)
    device, threads = condition.device, condition.threads
    law = profile.remembered(("host law", device, threads), lambda: HostLaw.read(profile, device, threads))
    if law is not None:
        return law.seconds(kinds, trace.python_calls, moved), law.factor
    table = profile.remembered(("host", condition, moved), lambda: HostTable(profile, condition, moved))
    return np.array([table.kind_s(kind) for kind in kinds]), table.factor(kinds)


def _pool_host(profile: ProfileReader, number: int) -> _PoolHost:
    """The host's work in a pool, in the usual state of the machine."""

    def read() -> _PoolHost:
        pool = profile.pool(number)
        return _PoolHost(StateChange(profile, pool.condition.threads).of(pool))

    return profile.remembered(("host of pool", number), read)


class _PoolHost:
    """The host's work in one pool, without what watching added. Medians by kind add up to the median of the rounds."""

    def __init__(self, pool: Pool) -> None:
        host_s = unwatched(pool)[0]
        self.host_s = host_s * sums_over_medians(host_s)
        self.kinds: dict[str, list[int]] = {}  # columns by kind
        self.operators: dict[str, list[int]] = {}  # columns by operator
        self._medians_s: dict[str, float] = {}
        for column, kind in enumerate(pool.host_kinds):
            self.kinds.setdefault(kind, []).append(column)
            self.operators.setdefault(kind.rpartition("/")[2], []).append(column)

    def of(self, kind: str) -> Samples:
        """The samples of one kind of work."""
        return self.host_s[:, self.kinds[kind]]

    def of_operator(self, operator: str) -> Samples:
        """The samples of the work before one operator, in any module."""
        return self.host_s[:, self.operators[operator]]

    def total_s(self, kinds: Sequence[str], usual: Mapping[str, float]) -> float:
        """Seconds of these kinds of work by this pool alone; kinds that it lacks take their usual time."""
        return math.fsum(self._median_s(kind) if kind in self.kinds else usual[kind] for kind in kinds)

    def _median_s(self, kind: str) -> float:
        if kind not in self._medians_s:
            self._medians_s[kind] = _median(self.of(kind))
        return self._medians_s[kind]


def _median(samples: Samples) -> float:
    """The same number as ``np.median``, which takes three times as long for few samples."""
    ordered, half = np.sort(samples, axis=None), samples.size // 2
    return float(ordered[half] if samples.size % 2 else (ordered[half - 1] + ordered[half]) / 2)


@dataclass(frozen=True)
class HostWork:
    """The host's own work in one inference."""

    samples_s: Samples  # rounds x (calls + 1): before each op call, and after the last; one row if from the table
    pool: int | None  # the pool it was sampled in; None where it comes from the table by kind of call
    flags: tuple[Flag, ...]  # of that pool, or "host_by_table"; what the profile does not say about the code
    blocks: Blocks | None = None  # by round
    processes: Processes | None = None  # by round
    watching_error_s: float = 0.0  # half the 95 % interval of what watching added, which is taken off
    factor: float = 1.0  # the cost from the table, times and over it, is the 95 % interval
    shift: Shift | None = None  # of the pool, to another state of the machine

    @staticmethod
    def read(
        trace: Trace, profile: ProfileReader, condition: Condition, kernels: Iterable[Pool],
        change: StateChange | None = None,
    ) -> HostWork:  # fmt: skip
        """Read it from a pool that sampled this model's host, or by kind of call from other models.

        Args:
            trace: the model.
            profile: the measurements; only read.
            condition: the condition that the host work should be from.
            kernels: the pools that the model's kernels are taken from.
            change: takes pools to one state of the machine.

        Returns:
            The host's work, in seconds.

        Raises:
            EstimateError: the profile has no host work at all.
        """
        sampled = _sampled(trace, profile, condition, kernels)
        code: tuple[Flag, ...] = ()
        if sampled is not None:
            if sampled.host_key != host_key(trace):
                code = ("code_unknown",)
            sampled = sampled if change is None else change.of(sampled)
            host_s, error_s = unwatched(sampled)
            flags = (*sampled.flags, *sampled.model_flags, *code)
            return HostWork(host_s, sampled.number, flags, sampled.blocks, sampled.processes, error_s,
                            shift=sampled.shift)  # fmt: skip
        calls_s, factor = _unsampled(trace, profile, condition)
        shift = Shift() if change is None else change.from_usual(condition.working_set)
        if has_other_code(trace, profile, condition):
            code = ("other_code",)
        return HostWork(calls_s[None, :] * shift.factor, None, ("host_by_table", *code), factor=factor, shift=shift)

    @cached_property
    def calls_s(self) -> Samples:
        """The median before each op call, and after the last."""
        return np.asarray(middle(self.samples_s, self.processes))

    @cached_property
    def rounds_s(self) -> Samples:
        """The sum, by round."""
        return np.asarray(self.samples_s.sum(axis=1))

    @property
    def total_s(self) -> float:
        """The median of the sums."""
        return float(middle(self.rounds_s, self.processes))

    @cached_property
    def interval_s(self) -> tuple[float, float]:
        """The 95 % interval of the sum."""
        if self.pool is None:
            low_s, high_s = self.total_s / self.factor, self.total_s * self.factor
        else:
            low_s, high_s = middle_interval(self.rounds_s, blocks=self.blocks, processes=self.processes)
        return (low_s, high_s) if self.shift is None else self.shift.widened(low_s, self.total_s, high_s)

    @property
    def modelled_s(self) -> float:
        """The seconds that were not measured for this model."""
        return self.total_s if self.pool is None else 0.0
