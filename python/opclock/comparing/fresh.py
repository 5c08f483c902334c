"""Measures the op calls that two profiles share again in turn, and compares the new measurements."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from opclock.comparing.side import Side
from opclock.errors import ComparisonError, OptionError, ProfileError
from opclock.formatting import counted
from opclock.profiles.comparison import TIMINGS, compare
from opclock.profiles.profile import Profile
from opclock.progress import Progress, silent
from opclock.timing.interleaving import interleave

BINDING_SHARE = 0.3  # of the time of a group, for the display

Sides = tuple[Side, Side]
Setting = tuple[str, int]  # device, threads


@dataclass(frozen=True)
class Remeasured:
    """What both sides measured in turn."""

    profiles: tuple[Path, Path]
    boards: tuple[dict[str, Any], dict[str, Any]]  # each side's environment
    refused: tuple[dict[str, Any], ...]  # rows of op calls that were not measured, with the reason

    def table(self) -> pd.DataFrame:
        """One row an op call, as ``profiles.comparison.compare`` returns them."""
        try:
            with Profile.open(self.profiles[0]) as first, Profile.open(self.profiles[1]) as second:
                frame = compare(first, second, in_turn=True)
        except ProfileError:
            if not self.refused:
                raise
            return pd.DataFrame(self.refused)  # nothing was measured
        return pd.concat([frame, pd.DataFrame(self.refused)], ignore_index=True) if self.refused else frame


@contextmanager
def remeasured(
    first: Path, second: Path, pythons: tuple[str, str], progress: Progress = silent
) -> Iterator[Remeasured]:
    """Measure the op calls that two profiles share again, in turn, each side in a process of its own.

    The profiles stay as they are. All op calls are timed in interleaved rounds, those of models too. The new profiles
    exist until the end of the ``with`` block.

    Args:
        first: the profile to compare with.
        second: the profile to judge.
        pythons: the interpreters of both environments.
        progress: receives a text and the fraction that is done.

    Yields:
        The new measurements.

    Raises:
        ProfileError: a profile cannot be read, or they have no op call in common.
        ComparisonError: an interpreter lacks opclock or has one of another version, a profile is of another machine or
            torch, or a side fails.
    """
    with (
        tempfile.TemporaryDirectory(prefix="opclock-") as name,
        Profile.open(first) as one,
        Profile.open(second) as two,
    ):
        shared = _Shared.of(one, two)
        folder = Path(name)
        progress("compare: starting both sides", 0.0)
        with Side("first", pythons[0], folder) as left, Side("second", pythons[1], folder) as right:
            for side in (left, right):
                side.check()
            boards = left.open(one), right.open(two)
            refused = _Turns((left, right), shared, progress).run()
            for side in (left, right):
                side.request("close")
        yield Remeasured((left.profile, right.profile), boards, tuple(refused))


@dataclass(frozen=True)
class _Shared:
    """The op calls that both profiles have, by setting."""

    keys: dict[Setting, list[str]]
    names: dict[str, tuple[str, str]]  # by key: family and parameters of a sweep's configuration

    @staticmethod
    def of(first: Profile, second: Profile) -> _Shared:
        """Raises ProfileError where there are none."""
        names = {key: (family, parameters) for profile in (second, first)
                 for family, parameters, key in profile.configurations()}  # fmt: skip
        theirs = set(second.finished_op_calls(TIMINGS))
        keys: dict[Setting, list[str]] = {}
        for device, threads, key in first.finished_op_calls(TIMINGS):
            if (device, threads, key) in theirs:
                keys.setdefault((device, threads), []).append(key)
        if not keys:
            raise ProfileError(
                f"{first.path} and {second.path} have no op call in common that was timed on one device with as many "
                "threads; run the same sweep with the same --threads into both"
            )
        return _Shared(keys, names)

    @property
    def count(self) -> int:
        return sum(map(len, self.keys.values()))

    def described(self, key: str) -> dict[str, str]:
        family, parameters = self.names.get(key, ("", ""))
        return {"key": key, "family": family, "parameters": parameters}

    def row(self, setting: Setting, key: str, reason: str) -> dict[str, Any]:
        """The row of an op call that was not measured."""
        family, parameters = self.names.get(key, ("", ""))
        numbers = dict.fromkeys(("first_s", "second_s", "machine", "ratio", "low", "high"), float("nan"))
        return {
            "family": family, "parameters": parameters, "op_call": key, "timing": "interleaved", "device": setting[0],
            "threads": setting[1], **numbers, "verdict": "undecided", "reason": reason,
        }  # fmt: skip


class _Turns:
    """Lets both sides time the shared op calls, block by block in turn. Never do both work at once."""

    def __init__(self, sides: Sides, shared: _Shared, progress: Progress) -> None:
        self._sides, self._shared, self._progress = sides, shared, progress
        self._refused: list[dict[str, Any]] = []
        self._done = 0  # op calls

    def run(self) -> list[dict[str, Any]]:
        """Time all. Returns the rows of op calls that cannot be timed on a side."""
        for setting, keys in self._shared.keys.items():
            runnable = self._plan(setting, keys)
            groups = self._sides[0].request("group", keys=runnable)["groups"] if runnable else []
            for group in groups:
                self._group(setting, group)
        self._progress("compare: measured in turn", 1.0)
        return self._refused

    def _plan(self, setting: Setting, keys: Sequence[str]) -> list[str]:
        """The keys that both sides accept."""
        device, threads = setting
        calls = [self._shared.described(key) for key in keys]
        refused: dict[str, str] = {}
        for side in self._sides:
            try:
                answer = side.request("plan", device=device, threads=threads, calls=calls)
            except ComparisonError as error:
                if not isinstance(error.__cause__, OptionError):  # no such device or not as many cores
                    raise
                answer = {"refused": dict.fromkeys(keys, str(error.__cause__))}
            _note(refused, side, answer)
        return self._without(setting, keys, refused)

    def _without(self, setting: Setting, keys: Sequence[str], refused: Mapping[str, str]) -> list[str]:
        self._refused += [self._shared.row(setting, key, refused[key]) for key in keys if key in refused]
        self._done += sum(key in refused for key in keys)
        return [key for key in keys if key not in refused]

    def _group(self, setting: Setting, group: Sequence[Sequence[str]]) -> None:
        """Time pools that are bound together on both sides."""
        self._report(setting, 0.0, 0)
        refused: dict[str, str] = {}
        for side in self._sides:
            _note(refused, side, side.request("attempt", pools=group))
        runnable = [self._without(setting, keys, refused) for keys in group]
        pools = [_Pool(number, self._sides) for number, keys in enumerate(filter(None, runnable))]
        for side in self._sides:
            side.request("bind", pools=list(filter(None, runnable)))
        here = sum(map(len, runnable))

        def report() -> None:
            share = sum(pool.done for pool in pools) / len(pools)
            self._report(setting, BINDING_SHARE + (1 - BINDING_SHARE) * share, here)

        interleave(pools, _Pool.blocks, enough=lambda pool: pool.enough, progress=report)
        for side in self._sides:
            side.request("end")
        self._done += here

    def _report(self, setting: Setting, share: float, here: int) -> None:
        device, threads = setting
        where = "" if device == "cpu" else f" on {device}"
        total = self._shared.count
        text = f"compare, {counted(threads, 'thread')}{where}: {self._done} of {counted(total, 'op call')}"
        self._progress(text, (self._done + share * here) / total)


@dataclass
class _Pool:
    """One pool, bound on both sides."""

    number: int
    sides: Sides
    done: float = 0.0  # fraction of the usual rounds
    enough: bool = False
    _order: list[Side] = field(init=False)

    def __post_init__(self) -> None:
        self._order = list(self.sides)

    def blocks(self) -> None:
        """Time one block on each side. Next time the other one is first, so that neither always follows the other."""
        answers = [side.request("block", pool=self.number) for side in self._order]
        self._order.reverse()
        self.done = min(answer["done"] for answer in answers)
        self.enough = all(answer["enough"] for answer in answers)


def _note(refused: dict[str, str], side: Side, answer: Mapping[str, Any]) -> None:
    """Note which op calls a side refuses, and why."""
    for key, reason in answer["refused"].items():
        refused.setdefault(key, f"cannot run on the {side.name} side: {reason}")
