"""Compares two profiles: of two boards, two torch versions, or before and after a change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from opclock.errors import ProfileError
from opclock.flags import untrusted
from opclock.profiles.condition import Timing
from opclock.profiles.machine import ON_A_DEVICE, OTHER_BOARD, Machine, same_machine, together
from opclock.profiles.pool import Pool
from opclock.profiles.reader import ProfileReader
from opclock.profiles.statistics import Samples, log_fast
from opclock.profiles.verdict_table import Setting, judged_table
from opclock.profiles.verdicts import Shift, hodges_lehmann

BATCHES, MIN_IN_BATCH = 5, 3  # of a pool's blocks: at most so many, of at least so many rounds
TIMINGS: tuple[Timing, ...] = ("in_model", "interleaved")


@dataclass(frozen=True)
class Side:
    """One op call in one profile."""

    pool: Pool
    key: str

    @cached_property
    def median_s(self) -> float:
        """The median of its clean rounds, in seconds."""
        return self.pool.measurement(self.key).median_s

    @cached_property
    def samples(self) -> Samples:
        """Its clean rounds, rounds x positions."""
        return self.pool.seconds[:, self.pool.positions[self.key]]

    @cached_property
    def fast(self) -> Samples:
        """By batch of blocks in a row: the logarithm of the ``FAST`` quantile of its rounds' seconds."""
        numbers = self.pool.blocks
        if numbers.size and numbers[0] == numbers[-1]:  # an older schema: each round stands for a block
            numbers = np.arange(numbers.size)
        _, order = np.unique(numbers, return_inverse=True)
        count = max(1, min(BATCHES, order[-1] + 1, order.size // MIN_IN_BATCH))
        batches = order * count // (order[-1] + 1)
        return np.array([log_fast(self.samples[batches == number]) for number in range(count)])

    @property
    def flags(self) -> tuple[str, ...]:
        """Why it is not reliable. Drift and an imprecise median do not count: the spread of batches shows them."""
        names = self.pool.flags_of(self.pool.measurement(self.key))
        return tuple(name for name in untrusted(names) if name not in ("drifting", "imprecise"))


@dataclass(frozen=True)
class Pair:
    """One op call in both profiles: a ``Row``."""

    first: Side
    second: Side
    setting: Setting
    machine: Machine

    @property
    def key(self) -> str:
        """The op call's."""
        return self.first.key

    @property
    def medians_s(self) -> tuple[float, float]:
        """See ``Row``."""
        return self.first.median_s, self.second.median_s

    @property
    def unresolved(self) -> bool:
        """See ``Row``."""
        return any(np.any(side.samples <= 0) for side in (self.first, self.second))

    @property
    def identical(self) -> bool:
        """See ``Row``."""
        return np.array_equal(self.first.samples, self.second.samples)

    @property
    def objection(self) -> str:
        """See ``Row``."""
        for which, side in (("first", self.first), ("second", self.second)):
            if side.flags:
                return f"the {which} is not reliable: {', '.join(side.flags)}"
        return ""

    def shift(self) -> Shift:
        """See ``Row``."""
        sides = self.first.fast, self.second.fast
        freedom = sum(values.size for values in sides) - 2
        squares = sum(float(np.sum((values - values.mean()) ** 2)) for values in sides)
        return Shift(
            hodges_lehmann(*sides) - self.machine.shift,
            squares / freedom if freedom > 0 else float("nan"),
            (sides[0].size, sides[1].size),
            self.machine.error,
            self.identical,
        )


def compare(first: ProfileReader, second: ProfileReader) -> pd.DataFrame:
    """Compare the op calls that two profiles have in the same timing, device and number of threads.

    Args:
        first: the profile to compare with, such as from before a change.
        second: the profile to judge.

    Returns:
        One row an op call, see ``judged_table``.

    Raises:
        ProfileError: the profiles have no op call in common.
    """
    pairs = list(_pairs(first, second))
    if not pairs:
        raise ProfileError(
            f"{first.path} and {second.path} have no op call in common that was timed alike; run the same sweep with "
            "the same --threads into both"
        )
    return judged_table(pairs, configuration_names(first, second))


def configuration_names(first: ProfileReader, second: ProfileReader) -> dict[str, tuple[str, str]]:
    """By the op call's key: the family and the parameters of its configuration in a sweep. The first profile wins."""
    return {key: (family, parameters) for profile in (second, first)
            for family, parameters, key in profile.configurations()}  # fmt: skip


def _pairs(first: ProfileReader, second: ProfileReader) -> Iterator[Pair]:
    alike = same_machine(first.board(), second.board())
    for setting in sorted(settings(first) & settings(second)):
        theirs = {side.key: side for side in newest(second, setting)}
        both = [(mine, theirs[mine.key]) for mine in newest(first, setting) if mine.key in theirs]
        pools = {(one.pool.number, other.pool.number): (one.pool, other.pool) for one, other in both}
        parts = [_machine(pair, setting[1]) if alike else OTHER_BOARD for pair in pools.values()]
        machines = dict(zip(pools, together(parts), strict=True))
        for one, other in both:
            yield Pair(one, other, setting, machines[one.pool.number, other.pool.number])


def _machine(pools: tuple[Pool, Pool], device: str) -> Machine:
    return Machine.between(*pools) if device == "cpu" else ON_A_DEVICE


def settings(profile: ProfileReader) -> set[Setting]:
    """How op calls were timed in a profile: timing, device and threads."""
    return {(one.timing, one.device, one.threads) for one in profile.conditions() if one.timing in TIMINGS}


def newest(profile: ProfileReader, setting: Setting) -> Iterator[Side]:
    """The newest completed measurement of each op call; a contended one where there is no other."""
    seen: set[str] = set()
    timing, device, threads = setting
    finished = profile.pools([timing], device, threads, ended=True)
    others = [number for number in profile.pools([timing], device, threads) if number not in finished]
    for number in [*finished, *others]:
        pool = profile.pool(number)
        if not pool.ended:  # interrupted, or running
            continue
        for key in pool.positions:
            if key not in seen:
                seen.add(key)
                yield Side(pool, key)
