"""The op calls that two profiles share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opclock.errors import ProfileError
from opclock.profiles.comparison import TIMINGS, configuration_names
from opclock.profiles.profile import Profile

Team = tuple[str, int]  # device, threads


@dataclass(frozen=True)
class Shared:
    """The op calls that both profiles have, by device and threads."""

    keys: dict[Team, list[str]]
    names: dict[str, tuple[str, str]]  # by key: family and parameters of a sweep's configuration

    @staticmethod
    def of(first: Profile, second: Profile) -> Shared:
        """Raises ProfileError where there are none."""
        theirs = set(second.finished_op_calls(TIMINGS))
        keys: dict[Team, list[str]] = {}
        for device, threads, key in first.finished_op_calls(TIMINGS):
            if (device, threads, key) in theirs:
                keys.setdefault((device, threads), []).append(key)
        if not keys:
            raise ProfileError(
                f"{first.path} and {second.path} have no op call in common that was timed on one device with as many "
                "threads; run the same sweep with the same --threads into both"
            )
        return Shared(keys, configuration_names(first, second))

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(map(len, self.keys.values()))

    def described(self, key: str) -> dict[str, str]:
        """The op call as a side plans it."""
        family, parameters = self.names.get(key, ("", ""))
        return {"key": key, "family": family, "parameters": parameters}

    def row(self, team: Team, key: str, reason: str) -> dict[str, Any]:
        """The row of an op call that was not measured."""
        family, parameters = self.names.get(key, ("", ""))
        numbers = dict.fromkeys(("first_s", "second_s", "machine", "ratio", "low", "high"), float("nan"))
        return {
            "family": family, "parameters": parameters, "op_call": key, "timing": "interleaved", "device": team[0],
            "threads": team[1], **numbers, "verdict": "undecided", "reason": reason,
        }  # fmt: skip
