"""Lets both sides of a comparison time the op calls that they share in turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opclock.comparing.shared import Shared, Team
from opclock.comparing.side import Side
from opclock.errors import ComparisonError, OptionError
from opclock.formatting import counted
from opclock.progress import Progress
from opclock.timing.interleaving import interleave

BINDING_SHARE = 0.5  # of the time of a group, for the display

Sides = tuple[Side, Side]
Refused = dict[tuple[Team, str], str]  # by device, threads and key: why an op call cannot be timed


class Turns:
    """Lets both sides time the shared op calls, block by block in turn. Never do both work at once."""

    def __init__(self, sides: Sides, shared: Shared, progress: Progress) -> None:
        self._sides, self._shared, self._progress = sides, shared, progress
        self._refused: Refused = {}
        self._done = 0  # op calls

    def run(self) -> Refused:
        """Time all. Returns which op calls cannot be timed on a side."""
        for team, keys in self._shared.keys.items():
            runnable = self._plan(team, keys)
            groups = self._sides[0].request("group", keys=runnable)["groups"] if runnable else []
            for group in groups:
                self._group(team, group)
        return self._refused

    def _plan(self, team: Team, keys: Sequence[str]) -> list[str]:
        """The keys that both sides accept."""
        device, threads = team
        calls = [self._shared.described(key) for key in keys]
        refused: dict[str, str] = {}
        for side in self._sides:
            try:
                answer = side.request("plan", device=device, threads=threads, calls=calls)
            except ComparisonError as error:
                refusal = getattr(error.__cause__, "refusal", None)
                if not isinstance(refusal, OptionError):  # no such device or not as many cores
                    raise
                answer = {"refused": dict.fromkeys(keys, str(refusal))}
            _note(refused, side, answer)
        return self._without(team, keys, refused)

    def _without(self, team: Team, keys: Sequence[str], refused: Mapping[str, str]) -> list[str]:
        self._refused |= {(team, key): reason for key in keys if (reason := refused.get(key)) is not None}
        self._done += sum(key in refused for key in keys)
        return [key for key in keys if key not in refused]

    def _group(self, team: Team, group: Sequence[Sequence[str]]) -> None:
        """Time pools that are bound together on both sides."""
        self._report(team, 0.0, 0)
        refused: dict[str, str] = {}
        for side in self._sides:
            _note(refused, side, side.request("attempt", pools=group))
        runnable = [self._without(team, keys, refused) for keys in group]
        pools = [Pool(number, self._sides) for number, keys in enumerate(filter(None, runnable))]
        for side in self._sides:
            side.request("bind", pools=list(filter(None, runnable)))
        here = sum(map(len, runnable))

        def report() -> None:
            share = sum(pool.done for pool in pools) / len(pools)
            self._report(team, BINDING_SHARE + (1 - BINDING_SHARE) * share, here)

        interleave(pools, Pool.blocks, enough=lambda pool: pool.enough, progress=report)
        for side in self._sides:
            side.request("end")
        self._done += here

    def _report(self, team: Team, share: float, here: int) -> None:
        device, threads = team
        where = "" if device == "cpu" else f" on {device}"
        total = self._shared.count
        text = f"{counted(threads, 'thread')}{where}: {self._done} of {counted(total, 'op call')}"
        self._progress(text, (self._done + share * here) / total)


@dataclass
class Pool:
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
        refused.setdefault(key, f"cannot run on the {side.side} side: {reason}")
