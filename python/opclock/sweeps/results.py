"""The sweep measurements in a profile: one row a configuration. Needs no torch and no board."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd

from opclock.errors import EstimateError
from opclock.flags import Flag, validity
from opclock.notebook import shown
from opclock.prediction.ceilings import Ceilings
from opclock.profiles.condition import Timing
from opclock.profiles.pool import Measurement, Pool
from opclock.profiles.reader import ProfileReader
from opclock.sweeps.configuration import Configuration
from opclock.tracing.macs import macs, moved_bytes
from opclock.tracing.trace import TracedCall

TIMING: Timing = "interleaved"
CACHED_POOLS = 64  # while making a table, whose rows are in the order of pools


@dataclass(frozen=True)
class SweepRow:
    """One configuration with one number of threads, and its measurement."""

    family: str
    parameters: dict[str, Any]
    threads: int
    traced: TracedCall
    pool: Pool
    measurement: Measurement
    ceilings: Ceilings | None

    @property
    def name(self) -> str:
        """The row's name, such as "gemm/m:64/n:64/k:64/threads:2"."""
        return "/".join([self.family, *(f"{name}:{value}" for name, value in self.columns.items()),
                         f"threads:{self.threads}"])  # fmt: skip

    @property
    def columns(self) -> dict[str, Any]:
        """The parameters by name; sizes with a number for each dimension are texts such as "1x7"."""
        return {
            name: "x".join(map(str, value)) if isinstance(value, list) else value
            for name, value in self.parameters.items()
        }

    @property
    def flags(self) -> tuple[Flag, ...]:
        """What was unusual about its measurement."""
        return self.pool.flags_of(self.measurement)

    def numbers(self) -> dict[str, Any]:
        """The values of the row in ``sweep_table``, without the parameters."""
        low_s, high_s = self.measurement.interval_s
        work, moved = macs(self.traced), moved_bytes(self.traced)
        min_s = self.ceilings.call_s(self.traced) if self.ceilings else math.nan
        return {
            "median_s": self.measurement.median_s,
            "low_s": low_s,
            "high_s": high_s,
            "mad_s": self.measurement.mad_s,
            "samples": self.measurement.samples.size,
            "macs": work,
            "bytes": moved,
            "gmacs_per_s": work / self.measurement.median_s / 1e9,
            "gb_per_s": moved / self.measurement.median_s / 1e9,
            "ceiling_share": min_s / self.measurement.median_s,
            "timing": self.pool.condition.timing,
            "working_set": self.pool.condition.working_set,
            "calls_per_sample": self.measurement.calls_per_sample,
            "pool": self.pool.number,
            "validity": validity(self.flags),
            "flags": " ".join(self.flags),
        }


def sweep_rows(
    profile: ProfileReader,
    *,
    threads: Iterable[int],
    family: str | None = None,
    configurations: Sequence[Configuration] | None = None,
    device: str = "cpu",
) -> Iterator[SweepRow]:
    """Read the sweeps in a profile.

    Args:
        profile: open for reading.
        threads: the wanted numbers of PyTorch threads.
        family: only this family; all if None.
        configurations: only these; all if None.
        device: where the kernels ran.

    Returns:
        One row for each timed configuration and number of threads, from its newest pool. Unfinished pools
        count only where there is no other.
    """
    wanted = profile.configurations(family)
    if configurations is not None:
        named = {(one.family, one.parameters_text) for one in configurations}
        wanted = [row for row in wanted if row[:2] in named]
    keys = [key for _, _, key in wanted]
    calls = profile.traced(keys)
    read = lru_cache(CACHED_POOLS)(profile.pool)
    for count in threads:
        ceilings = ceilings_or_none(profile, count) if device == "cpu" else None
        matches = profile.pool_matches(TIMING, device, count, keys)
        newest = {one.key: one.pool for one in sorted(matches, key=lambda one: (one.ended, one.started))}
        for name, parameters, key in wanted:
            if key in newest:
                pool = read(newest[key])
                measurement = pool.measurement(key)
                yield SweepRow(name, json.loads(parameters), count, calls[key], pool, measurement, ceilings)


class SweepFrame(pd.DataFrame):
    """A DataFrame of sweep measurements. Notebooks show it with units; without some of its columns, as any other."""

    @property
    def _constructor(self) -> type[SweepFrame]:
        return SweepFrame

    def _repr_html_(self) -> str | None:
        with suppress(KeyError):
            if page := shown(self):
                return page
        plain: str | None = super()._repr_html_()  # type: ignore[misc] # pandas has it, its stubs do not
        return plain


def sweep_table(rows: Iterable[SweepRow]) -> SweepFrame:
    """Make a table of sweep measurements: one row for each configuration and number of threads.

    Columns: family, its parameters, threads, median_s, low_s and high_s (95 % interval of the median), mad_s, samples,
    macs, bytes (moved at least), gmacs_per_s, gb_per_s, ceiling_share (the shortest time by the board's ceilings over
    the median; NaN without ceilings), timing, working_set (number of binary digits of the pool's bytes),
    calls_per_sample, pool, validity ("valid", or the most serious flag that makes the row unreliable) and flags (all of
    them, separated by blanks; see ``opclock.flags``).
    """
    return SweepFrame([{"family": row.family, **row.columns, "threads": row.threads, **row.numbers()} for row in rows])


def ceilings_or_none(profile: ProfileReader, threads: int) -> Ceilings | None:
    """The profile's ceilings with this number of threads; None where it lacks them."""
    try:
        return Ceilings.read(profile, threads)
    except EstimateError:
        return None
