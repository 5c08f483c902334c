"""Op calls that several pairs of processes measured in turn, and the verdicts on them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from opclock.profiles.comparison import Pair, configuration_names, newest, settings
from opclock.profiles.machine import Machine
from opclock.profiles.profile import Profile
from opclock.profiles.reader import ProfileReader
from opclock.profiles.statistics import log_fast
from opclock.profiles.verdict_table import Setting, judged_table
from opclock.profiles.verdicts import Shift, centre

Profiles = tuple[Path, Path]  # of the first and the second side
IN_TURN = Machine(note="; measured in turn")  # the machine's changes fall on both sides, and nothing is taken off
MIN_PAIRS = 3  # of processes that no other program disturbed: fewer do not show how processes differ


@dataclass(frozen=True)
class Repeats:
    """One op call in several pairs of processes: a ``Row`` of a comparison's table.

    In one process its tensors and code lie at the same places in memory all the time, which moves a kernel by some
    percent. So the difference within a pair of processes is one sample.
    """

    pairs: tuple[Pair, ...]
    machine: Machine = IN_TURN

    @property
    def key(self) -> str:
        """The op call's."""
        return self.pairs[0].key

    @property
    def setting(self) -> Setting:
        """How it was timed."""
        return self.pairs[0].setting

    @cached_property
    def undisturbed(self) -> tuple[Pair, ...]:
        """The pairs that can be judged."""
        return tuple(pair for pair in self.pairs if not pair.objection)

    @property
    def medians_s(self) -> tuple[float, float]:
        """See ``Row``: the medians of the processes' medians."""
        first, second = np.median([pair.medians_s for pair in self.undisturbed or self.pairs], axis=0)
        return float(first), float(second)

    @property
    def unresolved(self) -> bool:
        """See ``Row``."""
        return any(pair.unresolved for pair in self.pairs)

    @property
    def identical(self) -> bool:
        """See ``Row``: never, because each side is measured."""
        return False

    @property
    def objection(self) -> str:
        """See ``Row``."""
        if len(self.undisturbed) >= min(MIN_PAIRS, len(self.pairs)):
            return ""
        flagged = next(pair.objection for pair in self.pairs if pair.objection)
        return f"only {len(self.undisturbed)} of {len(self.pairs)} pairs of processes are reliable: {flagged}"

    def shift(self) -> Shift:
        """See ``Row``: from the differences of the pairs of processes."""
        differences = np.array([_difference(pair) for pair in self.undisturbed or self.pairs])
        count = differences.size
        within = float(np.var(differences, ddof=1)) / 2 if count > 1 else float("nan")
        return Shift(centre(differences), within, (count, count), paired=True)


def _difference(pair: Pair) -> float:
    """How much slower the second is, as a logarithm."""
    return log_fast(pair.second.samples) - log_fast(pair.first.samples)


def repeats_table(profiles: Sequence[Profiles]) -> pd.DataFrame:
    """Judge what pairs of processes measured in turn.

    Args:
        profiles: of each pair of processes, in pools of the same op calls.

    Returns:
        One row an op call that all have, see ``profiles.verdict_table.judged_table``; the ratio is that of the median
        pair of processes.

    Raises:
        ProfileError: a profile cannot be read.
    """
    with ExitStack() as stack:
        opened = [tuple(stack.enter_context(Profile.open(path)) for path in both) for both in profiles]
        by_pair = [_pairs(first, second) for first, second in opened]
        common = [key for key in by_pair[0] if all(key in pairs for pairs in by_pair)]
        rows = [Repeats(tuple(pairs[key] for pairs in by_pair)) for key in common]
        return judged_table(rows, configuration_names(*opened[0]))


def _pairs(first: ProfileReader, second: ProfileReader) -> dict[tuple[Setting, str], Pair]:
    found = {}
    for setting in sorted(settings(first) & settings(second)):
        theirs = {side.key: side for side in newest(second, setting)}
        for mine in newest(first, setting):
            if mine.key in theirs:
                found[setting, mine.key] = Pair(mine, theirs[mine.key], setting, IN_TURN)
    return found
