"""A sweep that several boards of one identity share: whether they agree, and one profile of those that do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from opclock.errors import FarmError, ProfileError
from opclock.farm.board import FarmBoard
from opclock.files import write_whole
from opclock.formatting import counted
from opclock.profiles.comparison import compare
from opclock.profiles.maintenance import merge
from opclock.profiles.profile import Profile

AGREE = 0.05  # boards whose shared kernels differ by more in the median are kept apart


def check_equal(boards: Sequence[FarmBoard]) -> None:
    """Raise FarmError where the boards have more than one identity."""
    identities = {board.equals: f"{board.name} is {board.board['identity']}" for board in boards}
    if len(identities) > 1:
        raise FarmError(f"--split shares a sweep among boards of one identity: {'; '.join(identities.values())}")


@dataclass(frozen=True)
class Agreement:
    """How one board of a split sweep relates to the board with which the others are compared."""

    board: str
    reference: str
    ratio: float  # of its times to the reference's, the median of the shared kernels
    kernels: int  # that both have
    kept: bool  # in the common profile

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        return asdict(self)


def agreements(profiles: Mapping[str, Path]) -> list[Agreement]:
    """Compare boards by what all of them have timed.

    Args:
        profiles: by board.

    Returns:
        One for each board. The reference is the board that is nearest to the others. A board that shares no kernel with
        it is not kept.
    """
    shifts: dict[tuple[str, str], float] = {}
    counts: dict[tuple[str, str], int] = {}
    for one, other in combinations(sorted(profiles), 2):
        shift, count = _shift(profiles[one], profiles[other])
        shifts[one, other], shifts[other, one] = shift, -shift
        counts[one, other] = counts[other, one] = count

    def distance(name: str) -> float:
        return sum(abs(shift) for (one, _), shift in shifts.items() if one == name)

    reference = min(sorted(profiles), key=distance)
    found = [Agreement(reference, reference, 1.0, max(counts.values(), default=0), kept=True)]
    for name in sorted(set(profiles) - {reference}):
        shift, count = shifts[reference, name], counts[reference, name]
        agrees = count > 0 and abs(shift) <= math.log1p(AGREE)
        found.append(Agreement(name, reference, math.exp(shift), count, kept=agrees))
    return found


def in_words(found: Sequence[Agreement], profiles: Mapping[str, Path]) -> list[str]:
    """A sentence about each board that was compared.

    Args:
        found: as ``agreements`` gives it.
        profiles: by board.
    """
    if len(found) == 1:
        return [f"{found[0].board} alone has answered: nothing was compared"]
    return [_in_words(one, profiles[one.board]) for one in found if one.board != one.reference]


def _in_words(one: Agreement, profile: Path) -> str:
    limit = f"{AGREE * 100:g} %"
    if not one.kernels:
        return f"{one.board} shares no kernel with {one.reference}: kept apart, in {profile}"
    verdict = f"they agree within {limit}" if one.kept else f"they differ by over {limit}: kept apart, in {profile}"
    shared = counted(one.kernels, "shared kernel")
    return f"{one.board} takes {one.ratio:.3f} times as long as {one.reference}, the median of {shared}; {verdict}"


def _shift(first: Path, second: Path) -> tuple[float, int]:
    """The logarithm of the second's times over the first's, the median of the shared kernels, and their number."""
    with Profile.open(first) as one, Profile.open(second) as other:
        try:
            table = compare(one, other)
        except ProfileError:  # nothing in common
            return 0.0, 0
    swept = table[(table["timing"] == "interleaved") & (table["first_s"] > 0) & (table["second_s"] > 0)]
    ratios = np.log(swept["second_s"] / swept["first_s"])
    return (float(np.median(ratios)), len(ratios)) if len(ratios) else (0.0, 0)


def nothing_shared_out(answers: Sequence[Mapping[str, Any] | None]) -> bool:
    """Whether each of several boards has timed the whole sweep, as is so where it has one pool.

    Args:
        answers: what ``opclock sweep --part`` writes as JSON; None of a board without an answer.
    """
    parts = [part for answer in answers if answer is not None and (part := answer.get("part"))]
    return len(parts) > 1 and all(part["kernels"] == part["of_kernels"] for part in parts)


def join(profiles: Sequence[Path], target: Path) -> None:
    """Merge the profiles of boards into one. To do it again changes nothing. Raises ProfileError where that fails."""
    for path in profiles:
        if not target.exists():
            write_whole(target, path.read_bytes())
            continue
        with Profile.edit(target) as opened:
            merge(opened, path)
