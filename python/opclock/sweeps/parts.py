"""The part of a sweep that one of several equal boards measures."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from opclock.errors import OptionError
from opclock.sweeps.binding import Planned
from opclock.sweeps.grouping import POOL_BYTES, grouped, working_sets

SHARED_EVERY = 10  # of so many pools one is measured on all boards, to see that they agree


@dataclass(frozen=True)
class Part:
    """One of several parts of a sweep. Its unit is the pool."""

    number: int  # from 0
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "2/3", the second of three. Raises OptionError where it is no part."""
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise OptionError(f"--part {text}: write NUMBER/PARTS, such as 2/3")
        return cls(int(found[1]) - 1, int(found[2]))

    def __str__(self) -> str:
        return f"{self.number + 1}/{self.of}"

    def has(self, pool: int) -> bool:
        """Whether a pool of this number is measured: it is the part's own, or all parts share it."""
        shared_before = pool // SHARED_EVERY + 1
        return pool % SHARED_EVERY == 0 or (pool - shared_before) % self.of == self.number

    def pools(self, planned: Sequence[Planned], seed: int, *, as_in_models: bool) -> list[list[Planned]]:
        """The part's pools. No board's own memory decides on them: they are the same everywhere.

        Args:
            planned: the kernels of the whole sweep.
            seed: of the sweep.
            as_in_models: see ``run_sweep``.
        """
        every = grouped(planned, working_sets(as_in_models), random.Random(seed), POOL_BYTES)
        return [pool for number, pool in enumerate(every) if self.has(number)]


def left_of(pools: Iterable[Sequence[Planned]], missing: Sequence[Planned]) -> Iterator[list[Planned]]:
    """What is missing of each pool."""
    keys = {one.call.key for one in missing}
    left = ([one for one in pool if one.call.key in keys] for pool in pools)
    return (pool for pool in left if pool)
