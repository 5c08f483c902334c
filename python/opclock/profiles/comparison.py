"""Compares two profiles: of two boards, two torch versions, or before and after a change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from opclock.errors import ProfileError
from opclock.flags import untrusted
from opclock.profiles.condition import Timing
from opclock.profiles.machine import IN_TURN, ON_A_DEVICE, OTHER_BOARD, Machine, same_machine, together
from opclock.profiles.pool import Pool
from opclock.profiles.reader import ProfileReader
from opclock.profiles.statistics import Samples
from opclock.profiles.verdicts import EQUAL, Shift, centre, hodges_lehmann, judge, median_by_block

BATCHES, MIN_IN_BATCH = 24, 3  # of rounds without known blocks: at most so many, of at least so many rounds
TIMINGS: tuple[Timing, ...] = ("in_model", "interleaved")
Setting = tuple[Timing, str, int]  # timing, device, threads


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
    def blocks(self) -> Samples:
        """By block: the logarithm of the median time in seconds."""
        numbers = self.pool.blocks
        if numbers.size and numbers[0] == numbers[-1]:  # an older schema: batches of rounds in a row stand for blocks
            count = max(1, min(BATCHES, numbers.size // MIN_IN_BATCH))
            batches = np.repeat(np.arange(count), [part.size for part in np.array_split(numbers, count)])
            numbers = batches
        return np.log(median_by_block(self.samples, numbers))

    @property
    def numbers(self) -> npt.NDArray[np.int_]:
        """The numbers of its blocks."""
        return np.unique(self.pool.blocks)

    @property
    def flags(self) -> tuple[str, ...]:
        """Why it is not reliable. Drift is not among them: the spread between its blocks shows it."""
        names = self.pool.flags_of(self.pool.measurement(self.key))
        return tuple(name for name in untrusted(names) if name != "drifting")


@dataclass(frozen=True)
class Pair:
    """One op call in both profiles."""

    first: Side
    second: Side
    setting: Setting
    machine: Machine

    @property
    def unresolved(self) -> bool:
        """Whether the clock saw no time pass in some block, so that there is no ratio."""
        return any(np.any(side.samples <= 0) for side in (self.first, self.second))

    def shift(self) -> Shift:
        """How the second differs from the first, without the machine's part."""
        return self._shift_in_turn() if self.machine is IN_TURN else self._shift()

    def _shift_in_turn(self) -> Shift:
        """From the differences of blocks that were taken next to each other."""
        _, ours, theirs = np.intersect1d(self.first.numbers, self.second.numbers, return_indices=True)
        differences = self.second.blocks[theirs] - self.first.blocks[ours]
        count = differences.size
        within = float(np.var(differences, ddof=1)) / 2 if count > 1 else float("nan")
        return Shift(
            centre(differences), within, (count, count), self.machine.error, identical=self.identical, paired=True
        )

    def _shift(self) -> Shift:
        sides = self.first.blocks, self.second.blocks
        freedom = sum(values.size for values in sides) - 2
        squares = sum(float(np.sum((values - values.mean()) ** 2)) for values in sides)
        return Shift(
            hodges_lehmann(*sides) - self.machine.shift,
            squares / freedom if freedom > 0 else float("nan"),
            (sides[0].size, sides[1].size),
            self.machine.error,
            self.identical,
        )

    @property
    def identical(self) -> bool:
        """Whether both sides are the same samples."""
        return np.array_equal(self.first.samples, self.second.samples)


def compare(first: ProfileReader, second: ProfileReader, *, in_turn: bool = False) -> pd.DataFrame:
    """Compare the op calls that two profiles have in the same timing, device and number of threads.

    Args:
        first: the profile to compare with, such as from before a change.
        second: the profile to judge.
        in_turn: both were measured block by block in turn, in pools of the same op calls. Then the machine's changes
            fall on both, and nothing is taken off.

    Returns:
        One row an op call. Columns: family and parameters (for calls of a sweep), op_call, timing, device, threads,
        first_s, second_s (medians in seconds), machine (how much slower the machine was in the second, by the control
        workloads; NaN where they are missing or the boards differ), ratio (second / first by their blocks, divided by
        machine), low and high (95 % interval of the ratio), verdict (same, faster, slower or undecided),
        reason.

    Raises:
        ProfileError: the profiles have no op call in common.
    """
    names = {key: (family, parameters) for profile in (second, first)
             for family, parameters, key in profile.configurations()}  # fmt: skip
    pairs = list(_pairs(first, second, in_turn=in_turn))
    if not pairs:
        raise ProfileError(
            f"{first.path} and {second.path} have no op call in common that was timed alike; run the same sweep with "
            "the same --threads into both"
        )
    judged = _judge([pair for pair in pairs if not pair.unresolved])
    return pd.DataFrame([_row(pair, names.get(pair.first.key, ("", "")), judged.get(id(pair))) for pair in pairs])


@dataclass(frozen=True)
class _Verdict:
    ratio: float
    low: float
    high: float
    word: str


def _judge(pairs: list[Pair]) -> dict[int, _Verdict]:
    """By the pair's id: its verdict."""
    if not pairs:
        return {}
    shifts = [pair.shift() for pair in pairs]
    judged = judge(shifts)
    ratios = [shift.value for shift in shifts]
    values = np.exp(np.column_stack([ratios, judged.low, judged.high]))
    return {id(pair): _Verdict(float(row[0]), float(row[1]), float(row[2]), word)
            for pair, row, word in zip(pairs, values, judged.words, strict=True)}  # fmt: skip


def _row(pair: Pair, name: tuple[str, str], verdict: _Verdict | None) -> dict[str, Any]:
    nan = float("nan")
    verdict = verdict or _Verdict(nan, nan, nan, "undecided")
    word, reason = _explained(pair, verdict)
    timing, device, threads = pair.setting
    return {
        "family": name[0], "parameters": name[1], "op_call": pair.first.key, "timing": timing, "device": device,
        "threads": threads, "first_s": pair.first.median_s, "second_s": pair.second.median_s,
        "machine": float(np.exp(pair.machine.shift)) if pair.machine.known else nan,
        "ratio": verdict.ratio, "low": verdict.low, "high": verdict.high,
        "verdict": word, "reason": reason,
    }  # fmt: skip


def _explained(pair: Pair, verdict: _Verdict) -> tuple[str, str]:
    """The verdict's word, and its reason in plain words."""
    if np.isnan(verdict.ratio):
        return "undecided", "the clock saw no time pass"
    if pair.identical:
        return "same", "both are the same measurement"
    for which, side in (("first", pair.first), ("second", pair.second)):
        flags = [flag for flag in side.flags if flag != "imprecise" or pair.machine is not IN_TURN]
        if flags:
            return "undecided", f"the {which} is not reliable: {', '.join(flags)}"
    half = f"{(verdict.high - verdict.low) / 2:.1%}"
    if verdict.word == "same":
        return "same", f"within {EQUAL:.0%}{pair.machine.note}"
    if verdict.word == "undecided":
        return "undecided", f"known to ± {half} only{pair.machine.note}"
    return verdict.word, f"more than chance explains (± {half}){pair.machine.note}"


def _pairs(first: ProfileReader, second: ProfileReader, *, in_turn: bool) -> Iterator[Pair]:
    alike = same_machine(first.board(), second.board())
    for setting in sorted(_settings(first) & _settings(second)):
        theirs = {side.key: side for side in _sides(second, setting)}
        both = [(mine, theirs[mine.key]) for mine in _sides(first, setting) if mine.key in theirs]
        pools = {(one.pool.number, other.pool.number): (one.pool, other.pool) for one, other in both}
        parts = [_machine(pair, setting[1]) if alike else OTHER_BOARD for pair in pools.values()]
        machines = dict(zip(pools, together(parts), strict=True))
        if in_turn:
            machines = dict.fromkeys(pools, IN_TURN)
        for one, other in both:
            yield Pair(one, other, setting, machines[one.pool.number, other.pool.number])


def _machine(pools: tuple[Pool, Pool], device: str) -> Machine:
    return Machine.between(*pools) if device == "cpu" else ON_A_DEVICE


def _settings(profile: ProfileReader) -> set[Setting]:
    return {(one.timing, one.device, one.threads) for one in profile.conditions() if one.timing in TIMINGS}


def _sides(profile: ProfileReader, setting: Setting) -> Iterator[Side]:
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
