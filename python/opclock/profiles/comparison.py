"""Compares two profiles: of two boards, two torch versions, or before and after a change."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from opclock.errors import ProfileError
from opclock.profiles.condition import Timing
from opclock.profiles.pool import Measurement
from opclock.profiles.reader import ProfileReader

EQUAL = 0.05  # ratios closer to 1 count as the same: two runs on one machine differ by as much
TIMINGS: tuple[Timing, ...] = ("in_model", "interleaved")


@dataclass(frozen=True)
class Verdict:
    """How the time of one op call in the second profile compares with the first."""

    ratio: float  # second / first
    low: float
    high: float

    @property
    def word(self) -> str:
        """same, faster or slower; undecided where the interval allows more than one."""
        if self.low >= 1 / (1 + EQUAL) and self.high <= 1 + EQUAL:
            return "same"
        if self.high < 1:
            return "faster"
        return "slower" if self.low > 1 else "undecided"


def judge(first: Measurement, second: Measurement) -> Verdict:
    """Compare the medians of two measurements.

    Args:
        first: the measurement to compare with.
        second: the measurement to judge.

    Returns:
        The ratio of the medians and its interval, from their intervals as independent errors.
    """
    ratio = second.median_s / first.median_s
    below = math.hypot(_distance(second, 0), _distance(first, 1))
    above = math.hypot(_distance(second, 1), _distance(first, 0))
    return Verdict(ratio, ratio * math.exp(-below), ratio * math.exp(above))


def _distance(measurement: Measurement, side: int) -> float:
    """The logarithm of the ratio between the interval's end on this side and the median."""
    end = measurement.interval_s[side]
    return abs(math.log(max(end, 1e-12) / measurement.median_s))


def compare(first: ProfileReader, second: ProfileReader) -> pd.DataFrame:
    """Compare the op calls that two profiles have in the same timing, device and number of threads.

    Args:
        first: the profile to compare with, such as from before a change.
        second: the profile to judge.

    Returns:
        One row an op call. Columns: family and parameters (for calls of a sweep), op_call, timing, threads, first_s,
        second_s (seconds), ratio (second / first), low and high (95 % interval of the ratio), verdict.

    Raises:
        ProfileError: the profiles have no op call in common.
    """
    names = {key: (family, parameters) for profile in (second, first)
             for family, parameters, key in profile.configurations()}  # fmt: skip
    rows = []
    for timing, device, threads in sorted(_settings(first) & _settings(second)):
        theirs = dict(_measurements(second, timing, device, threads))
        for key, mine in _measurements(first, timing, device, threads):
            if key in theirs:
                verdict = judge(mine, theirs[key])
                family, parameters = names.get(key, ("", ""))
                rows.append({
                    "family": family, "parameters": parameters, "op_call": key, "timing": timing, "threads": threads,
                    "first_s": mine.median_s, "second_s": theirs[key].median_s, "ratio": verdict.ratio,
                    "low": verdict.low, "high": verdict.high, "verdict": verdict.word,
                })  # fmt: skip
    if not rows:
        raise ProfileError(
            f"{first.path} and {second.path} have no op call in common that was timed alike; run the same sweep with "
            "the same --threads into both"
        )
    return pd.DataFrame(rows)


def _settings(profile: ProfileReader) -> set[tuple[Timing, str, int]]:
    return {(one.timing, one.device, one.threads) for one in profile.conditions() if one.timing in TIMINGS}


def _measurements(
    profile: ProfileReader, timing: Timing, device: str, threads: int
) -> Iterator[tuple[str, Measurement]]:
    """The newest completed measurement of each op call."""
    seen: set[str] = set()
    for number in profile.pools([timing], device, threads, ended=True):
        pool = profile.pool(number)
        for key in pool.positions:
            if key not in seen:
                seen.add(key)
                yield key, pool.measurement(key)
